// The frame every controller stands in.
//
// A controller says which resources it watches, turns their changes into keys (and does nothing
// else there), and reconciles one key at a time: it reads the cache, compares, and asks for writes
// through the pass it was given. The key stays busy until every write of the pass was answered. As
// the cache shows a write before its answer comes, the next pass of the key always sees what the
// last one did: no expectations are needed to keep a stale view from doubling pods. A write that
// fails fails its pass, which comes again after the key's backoff.
//
// Level-triggered: a pass may stop half way ("created the ReplicaSet"); the change it made brings
// the key back. Nothing is kept that can't be rebuilt from the cache. Loop thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/event_recorder.h"
#include "knarr/client.h"
#include "knarr/clock.h"
#include "knarr/object.h"
#include "knarr/random.h"
#include "server/cache/cache.h"
#include "server/controllers/resources.h"
#include "server/controllers/work_queue.h"

namespace knarr::server {

struct ControllerContext {
  Cache& cache;
  client::Client& client;
  Clock& clock;
  Random& random;

  ObjectRef get(const ResourceName& r, const NamespacedName& name) const {
    return cache.get({r.key(), name});
  }
};

// One reconcile of one key. Shared by the writes in flight; ends when nothing holds it any more.
class Pass : public std::enable_shared_from_this<Pass> {
 public:
  Pass(client::Client& client, WorkQueue& queue, NamespacedName key, std::weak_ptr<void> alive);

  const NamespacedName& key() const { return key_; }
  // Without `then` an error fails the pass. With it the caller judges the answer.
  void write(client::Request request, client::Reply then = nullptr);
  // A delete: that the object is gone, or was replaced, is no error.
  void remove(client::Request request, client::Reply then = nullptr);
  // For an answer from elsewhere: the pass does not end while a copy of this lives.
  std::shared_ptr<void> hold();
  // Runs when every write so far was answered; several run in order.
  void join(std::function<void()> fn);
  void fail(const Error& error);
  bool failed() const { return failed_; }
  // The key comes again then, if nothing brings it earlier.
  void again_after_ms(int64_t delay_ms);

 private:
  friend class Controller;
  void settle();

  client::Client& client_;
  WorkQueue& queue_;
  NamespacedName key_;
  std::weak_ptr<void> alive_;
  std::deque<std::function<void()>> joins_;
  int holds_ = 1;  // reconcile() itself
  bool failed_ = false;
  int64_t again_ms_ = -1;
};

using PassRef = std::shared_ptr<Pass>;

class Controller {
 public:
  Controller(const ControllerContext& context, std::string component, size_t concurrency = 16);
  virtual ~Controller();
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  virtual std::vector<GroupResource> watches() const = 0;
  // previous null: new; object null: deleted. Enqueues keys, nothing else.
  virtual void on_change(const GroupResource& resource, const ObjectRef& previous,
                         const ObjectRef& object) = 0;
  virtual void reconcile(const NamespacedName& key, const PassRef& pass) = 0;
  // Called once, when every watched resource has been told.
  virtual void on_started() {}

  const std::string& component() const { return component_; }
  WorkQueue& queue() { return queue_; }

 protected:
  void enqueue(const NamespacedName& key) { queue_.add(key); }
  // The key of the controlling owner of this kind, if that is what the object has.
  void enqueue_controller(const ObjectRef& object, const char* kind);
  void event(const json::Value& object, bool warning, std::string_view reason,
             std::string_view message) {
    recorder_.record(object, warning ? api::EventType::kWarning : api::EventType::kNormal, reason,
                     message);
  }
  int64_t now_us() const { return context_.clock.now_us(); }

  ControllerContext context_;

 private:
  void process(const NamespacedName& key);

  std::string component_;
  std::shared_ptr<void> alive_;
  api::EventRecorder recorder_;
  WorkQueue queue_;
  // For the end: what a pass still waits to do holds the pass, so somebody must let it go.
  std::vector<std::weak_ptr<Pass>> passes_;
};

// Runs controllers: one watch a resource, shared by all who want it.
class ControllerHost {
 public:
  explicit ControllerHost(const ControllerContext& context);
  ~ControllerHost();
  void add(std::unique_ptr<Controller> controller);
  void start();
  // A resource that appeared after start (a custom one), for controllers that watch everything.
  void watch_resource(const GroupResource& resource, const std::vector<Controller*>& listeners);
  bool idle() const;
  const std::vector<std::unique_ptr<Controller>>& controllers() const { return controllers_; }

 private:
  class Subscription;
  ControllerContext context_;
  std::vector<std::unique_ptr<Controller>> controllers_;
  std::vector<std::unique_ptr<Subscription>> subscriptions_;
};

}  // namespace knarr::server
