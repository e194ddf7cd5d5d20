// What sets one kind of object apart from the next in the generic REST engine: facts as data
// (Traits), and the few steps that are code. A kind family is a file of strategies; every kind
// without one has the default. Values are in the storage version. Loop thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/resource.h"
#include "api/validation/errors.h"
#include "base/json.h"
#include "knarr/clock.h"
#include "knarr/random.h"
#include "server/cache/cache.h"
#include "server/registry/request.h"

namespace knarr::server {

enum class GcPolicy { kBackground, kOrphan, kUnsupported };

struct Traits {
  bool generation = false;           // metadata.generation counts changes of what is not metadata
  bool generation_at_create = true;  // it begins at 1, not unset
  bool generation_counts = true;     // false: it stays at 1
  bool create_on_update = false;     // PUT of what is not there makes it
  bool unconditional_update = true;  // PUT may leave out resourceVersion
  bool returns_deleted = false;      // DELETE answers with the object, not with a Status
  bool graceful = false;             // deletion waits for a grace period (pods)
  bool keeps_status = false;         // a create may bring its status along (nodes)
  bool metadata_of_status = true;    // writes of /status may change labels and annotations
  GcPolicy gc = GcPolicy::kBackground;
  int64_t ttl_ms = 0;  // objects vanish after this time (events)
};

struct StrategyContext {
  const Request& request;
  Cache& cache;
  Clock& clock;
  Random& random;
  std::string now;  // RFC 3339
  std::vector<std::string>& warnings;
  // What is to be undone when the write is refused or fails, and after dry runs.
  std::vector<std::function<void()>>& undo;
};

class Strategy {
 public:
  explicit Strategy(Traits traits = {}) : traits_(traits) {}
  virtual ~Strategy() = default;

  const Traits& traits() const { return traits_; }

  // Before field ownership is worked out, on what a client sent: what upstream's conversion to the
  // served version adds.
  virtual void decoded(json::Value& /*now*/) const {}

  // Before validation. `now` is the whole object; status and generation are dealt with by the
  // engine.
  virtual void prepare_create(StrategyContext&, json::Value& /*now*/) const {}
  virtual void prepare_update(StrategyContext&, json::Value& /*now*/,
                              const json::Value& /*old*/) const {}
  virtual void prepare_status(StrategyContext&, json::Value& /*now*/,
                              const json::Value& /*old*/) const {}
  // Another subresource that is written as the object itself ("resize", "approval", ...).
  // Starts from the whole object the client sent; makes it what may be stored.
  virtual void prepare_subresource(StrategyContext&, std::string_view /*name*/,
                                   json::Value& /*now*/, const json::Value& /*old*/) const {}

  // Whether metadata.generation moves: something beside metadata and status differs.
  virtual bool changed(const json::Value& now, const json::Value& old) const;

  // After preparation, before validation: what takes scarce things (addresses, ports), and says in
  // ctx.undo how they are given back. An error is the answer.
  virtual Result<void> allocate(StrategyContext&, json::Value& /*now*/,
                                const json::Value* /*old*/) const {
    return {};
  }
  // An update is stored; what it no longer needs may go.
  virtual void updated(const json::Value& /*now*/, const json::Value& /*old*/) const {}
  // The object is gone from the store.
  virtual void deleted(const json::Value& /*old*/) const {}

  // The grace period of a delete that asks for none of its own; < 0: immediately.
  virtual int64_t grace_seconds(const json::Value& /*object*/,
                                std::optional<int64_t> /*asked*/) const {
    return 0;
  }

 private:
  Traits traits_;
};

struct StrategyRow {
  std::string_view group;
  std::string_view plural;
  std::unique_ptr<Strategy> strategy;
};

class ServiceAllocator;
class AddressRecords;

// Every kind that has a strategy of its own.
std::vector<StrategyRow> make_strategies(ServiceAllocator& services, AddressRecords& records);

}  // namespace knarr::server
