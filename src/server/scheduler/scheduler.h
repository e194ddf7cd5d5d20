// The scheduler: pods without a node, one at a time, most important first. The choice is
// synchronous; a chosen pod is assumed to be on its node while the binding is written, so the next
// choice sees it there.
//
// Loop thread. Keeps nothing that the cache could not give it again.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "api/event_recorder.h"
#include "knarr/client.h"
#include "knarr/clock.h"
#include "knarr/random.h"
#include "server/cache/cache.h"
#include "server/scheduler/algorithm.h"
#include "server/scheduler/preemption.h"
#include "server/scheduler/queue.h"
#include "server/scheduler/volume_binder.h"

namespace knarr::server {

class Scheduler {
 public:
  Scheduler(Cache& cache, client::Client& client, Clock& clock, Random& random,
            std::string name = "default-scheduler");
  ~Scheduler();
  void start();  // once, when the cache is loaded

  const NodeTable& table() const { return table_; }
  size_t waiting() const { return queue_.size(); }

 private:
  class Subscription;
  void on_pod(const ObjectRef& previous, const ObjectRef& object);
  void on_node(const ObjectRef& previous, const ObjectRef& object);
  void pod_gone(const std::string& uid);
  void run();
  void schedule(const PodInfoRef& pod);
  void bind_volumes(const PodInfoRef& pod, const std::string& node, VolumePlan plan);
  void bind(const PodInfoRef& pod, const std::string& node);
  void reject(const PodInfoRef& pod, const Error& error, const std::string& what);
  void on_bound(const PodInfoRef& pod, const std::string& node, const Result<ObjectRef>& answer);
  void fail(const PodInfoRef& pod, const Choice& choice);
  void preempt(const PodInfoRef& pod, const Preemption& preemption);
  void tell_unschedulable(const PodInfoRef& pod, const std::string& message,
                          const std::string* nominate);

  Cache& cache_;
  client::Client& client_;
  Clock& clock_;
  std::string name_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
  NodeTable table_;
  VolumeBinder volumes_;
  Algorithm algorithm_;
  SchedulingQueue queue_;
  api::EventRecorder recorder_;
  std::unique_ptr<Timer> turn_;
  std::vector<std::unique_ptr<Subscription>> subscriptions_;
};

}  // namespace knarr::server
