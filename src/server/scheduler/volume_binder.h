// Between the choice of a node and the binding of the pod: reserves the volumes that were chosen
// for its claims, marks the claims that are to be provisioned with the node, and waits until the
// volume controller has bound them all. Loop thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "knarr/client.h"
#include "knarr/clock.h"
#include "server/cache/cache.h"
#include "server/scheduler/node_info.h"
#include "server/scheduler/volume_plan.h"

namespace knarr::server {

class VolumeBinder {
 public:
  using Done = std::function<void(Result<void>)>;
  VolumeBinder(Cache& cache, client::Client& client, Clock& clock, NodeTable& table);
  ~VolumeBinder();

  // `done` comes once, perhaps within this call, unless the pod is forgotten first.
  void bind(const PodInfoRef& pod, const std::string& node, VolumePlan plan, Done done);
  void forget(const std::string& uid);
  // A claim or a volume changed.
  void look();

 private:
  struct Waiting {
    VolumePlan plan;
    std::string node;
    int64_t deadline_ms = 0;
    int writes = 0;
    Done done;
  };
  void write(const std::string& uid, client::Request request);
  void reserve(const std::string& uid, const std::string& volume, const NamespacedName& claim);
  // True when all is bound; an error when it can't come to that any more.
  Result<bool> bound(const Waiting& waiting) const;
  void finish(const std::string& uid, Result<void> result);
  void release(const VolumePlan& plan);
  void arm();

  Cache& cache_;
  client::Client& client_;
  Clock& clock_;
  NodeTable& table_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
  std::map<std::string, Waiting> waiting_;  // by pod uid
  std::unique_ptr<Timer> timer_;
};

}  // namespace knarr::server
