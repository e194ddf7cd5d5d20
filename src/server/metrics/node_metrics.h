// What nodes and pods use now: nodes are asked when somebody wants to know, and only then.
//
// A rate takes two readings. Where there is one that is not older than a minute, one more is taken;
// else two, a second apart. A reading less than a second old is good for all who ask meanwhile.
//
//   idle -> first reading -> (a second) -> second reading -> idle
//        -> reading ---------------------------------------> idle
//
// However often and by whomever a node is asked, rates are over some fifteen seconds once it has
// been followed that long: of earlier readings a few are kept, none much nearer to the next than
// five seconds, and the newest of them that is old enough is where the window begins.
//
// A node that does not answer in time has no metrics then. Loop thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/selector.h"
#include "knarr/clock.h"
#include "server/cache/cache.h"
#include "server/metrics/metrics_source.h"
#include "server/metrics/resource_text.h"

namespace knarr::server {

struct UsageRate {
  int64_t cpu_nano_cores = 0;
  int64_t memory_bytes = 0;
  int64_t timestamp_us = 0;  // of the end of the window
  int64_t window_us = 0;
};

// Null when that cannot be said (yet). `before` may be null, or of what ran earlier under the name:
// the window begins then when this one started. Pure.
std::optional<UsageRate> usage_rate(const UsageCounter* before, const UsageCounter& after);

// What a node has said, oldest first: windows go from the first reading to the last. Pure.
class Readings {
 public:
  struct Reading {
    int64_t ms = 0;
    NodeCounters counters;
  };
  // `ms` never goes back. Drops what no later window will begin with; of a machine that has started
  // again, all before that.
  void add(int64_t ms, NodeCounters counters);
  void clear() { readings_.clear(); }
  bool empty() const { return readings_.empty(); }
  bool has_window() const { return readings_.size() > 1; }
  int64_t window_ms() const { return empty() ? 0 : last().ms - first().ms; }
  const Reading& first() const { return readings_.front(); }
  const Reading& last() const { return readings_.back(); }

 private:
  std::vector<Reading> readings_;
};

// How nodes are asked.
class NodeReader {
 public:
  virtual ~NodeReader() = default;
  // Destroying it gives the reading up.
  class Reading {
   public:
    virtual ~Reading() = default;
  };
  using Done = std::function<void(Result<std::string>)>;
  // A GET of the node's own path. `done` comes once, perhaps within the call.
  virtual std::unique_ptr<Reading> read(const ObjectRef& node, const std::string& path,
                                        Done done) = 0;
};

class NodeMetrics final : public MetricsSource {
 public:
  NodeMetrics(const Cache& cache, Clock& clock);
  ~NodeMetrics() override;
  // Null: nobody answers. What was being read is given up.
  void set_reader(NodeReader* reader);

  struct PodUse {
    ObjectRef pod;
    std::map<std::string, UsageRate> containers;  // all that run
  };
  struct NodeUse {
    ObjectRef node;
    UsageRate rate;
  };
  // Those of them that can be measured.
  void nodes(std::vector<ObjectRef> nodes, std::function<void(std::vector<NodeUse>)> done);
  void pods(std::vector<ObjectRef> pods, std::function<void(std::vector<PodUse>)> done);

  void pod_metrics(const std::string& ns, const api::LabelSelector& selector, Done done) override;

 private:
  struct Node {
    Readings readings;
    bool answers = false;  // the last time it was asked
    std::unique_ptr<NodeReader::Reading> reading;
    std::unique_ptr<Timer> timer;  // of the wait for an answer, or between two readings
    bool asked = false;            // an answer is awaited
    bool second = false;           // of two readings
    std::vector<std::function<void()>> waiting;
  };
  void measure(const std::vector<std::string>& nodes, std::function<void()> done);
  void refresh(const std::string& name, std::function<void()> done);
  void read(const std::string& name);
  void due(const std::string& name);
  void answered(const std::string& name, const Result<std::string>& text);
  void finish(const std::string& name);
  const Readings* known(const std::string& node) const;  // null: no window
  std::optional<PodUse> use_of(const ObjectRef& pod) const;

  const Cache& cache_;
  Clock& clock_;
  NodeReader* reader_ = nullptr;
  std::map<std::string, Node> nodes_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace knarr::server
