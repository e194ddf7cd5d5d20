#include "server/scheduler/scheduler.h"

#include "api/view/meta.h"
#include "base/format.h"
#include "base/log.h"
#include "base/time.h"

namespace knarr::server {

namespace {
constexpr int kPodsPerTurn = 16;  // so that a burst does not hold up the loop
const char* kNoClaims = " no new claims to deallocate";
}  // namespace

class Scheduler::Subscription final : public WatchSink {
 public:
  using Handler = std::function<void(const ObjectRef& previous, const ObjectRef& object)>;
  Subscription(Cache& cache, GroupResource resource, Handler handler)
      : handler_(std::move(handler)) {
    WatchOptions options;
    options.initial_state = true;
    auto watch = cache.watch(resource, std::move(options), *this);
    if (watch.ok()) watch_ = std::move(watch).value();
  }
  void start() {
    if (watch_ != nullptr) watch_->start();
  }
  void on_event(const WatchEvent& event) override {
    handler_(event.initial ? nullptr : event.change->previous(), event.change->object());
  }
  void on_bookmark(kv::Revision, bool) override {}
  void on_error(const Error& error) override {
    base::log(base::Level::kWarning, "scheduler", "watch: {}", error.message);
  }

 private:
  Handler handler_;
  std::unique_ptr<Watch> watch_;
};

Scheduler::Scheduler(Cache& cache, client::Client& client, Clock& clock, Random& random,
                     std::string name)
    : cache_(cache),
      client_(client),
      clock_(clock),
      name_(std::move(name)),
      volumes_(cache, client, clock, table_),
      algorithm_(table_, cache, random),
      queue_(clock,
             [this] {
               if (!turn_->active()) turn_->start(0);
             }),
      recorder_(client, clock, name_, {}, api::EventRecorder::Style::kSeries),
      turn_(clock.timer([this] { run(); })) {}

Scheduler::~Scheduler() = default;

void Scheduler::start() {
  auto add = [&](GroupResource resource, Subscription::Handler handler) {
    subscriptions_.push_back(
        std::make_unique<Subscription>(cache_, std::move(resource), std::move(handler)));
  };
  add({"", "nodes"}, [this](const ObjectRef& p, const ObjectRef& o) { on_node(p, o); });
  add({"", "pods"}, [this](const ObjectRef& p, const ObjectRef& o) { on_pod(p, o); });
  auto volumes = [this](const ObjectRef&, const ObjectRef&) {
    volumes_.look();
    queue_.on_change(kVolumeChange);
  };
  add({"", "persistentvolumeclaims"}, volumes);
  add({"", "persistentvolumes"}, volumes);
  add({"storage.k8s.io", "storageclasses"}, volumes);
  for (auto& s : subscriptions_) s->start();
}

void Scheduler::on_node(const ObjectRef& previous, const ObjectRef& object) {
  if (object == nullptr) return table_.remove_node(previous->name.name);
  if (table_.set_node(*object)) queue_.on_change(kNodeChange);
}

void Scheduler::pod_gone(const std::string& uid) {
  queue_.remove(uid);
  volumes_.forget(uid);
  if (table_.node_of(uid) == nullptr) return;
  table_.remove_pod(uid);
  queue_.on_change(kPodGone);
}

void Scheduler::on_pod(const ObjectRef& previous, const ObjectRef& object) {
  if (object == nullptr) return pod_gone(previous->uid);
  auto pod = std::make_shared<const PodInfo>(object);
  if (pod->terminal) return pod_gone(pod->uid());
  if (!pod->node.empty()) {
    queue_.remove(pod->uid());
    const std::string* known = table_.node_of(pod->uid());
    bool placed = known == nullptr || *known != pod->node || previous == nullptr ||
                  previous->labels != object->labels;
    table_.add_pod(pod, pod->node);
    if (placed) queue_.on_change(kPodPlaced);
    return;
  }
  if (table_.node_of(pod->uid()) != nullptr) return;  // assumed: the binding is on its way
  if (pod->scheduler_name != name_ || pod->gated || object->deleting) {
    queue_.remove(pod->uid());
    return;
  }
  // A change of status is the scheduler's own doing, or nothing it looks at.
  bool status_only = previous != nullptr && queue_.has(pod->uid()) &&
                     PodInfo(previous).generation == pod->generation &&
                     previous->labels == object->labels;
  if (status_only) return queue_.update(pod);
  queue_.add(pod);
}

void Scheduler::run() {
  for (int i = 0; i < kPodsPerTurn; ++i) {
    PodInfoRef pod = queue_.pop();
    if (pod == nullptr) return;
    schedule(pod);
  }
  if (queue_.has_next()) turn_->start(0);
}

void Scheduler::schedule(const PodInfoRef& pod) {
  Choice choice = algorithm_.choose(*pod);
  if (choice.node.empty()) return fail(pod, choice);
  table_.add_pod(pod, choice.node);  // assumed
  NodeInfo* node = table_.find(choice.node);
  if (!pod->claims.empty() && node != nullptr) {
    auto plan = plan_volumes(volumes_of(*pod, cache_), table_.taken_volumes(), *node);
    if (plan && !plan->empty()) return bind_volumes(pod, choice.node, *std::move(plan));
  }
  bind(pod, choice.node);
}

// The pod says where it is going while its volumes are bound, or made.
void Scheduler::bind_volumes(const PodInfoRef& pod, const std::string& node, VolumePlan plan) {
  json::Value patch =
      json::Value::object({{"metadata", json::Value::object({{"uid", pod->uid()}})},
                           {"status", json::Value::object({{"nominatedNodeName", node}})}});
  const NamespacedName& name = pod->object->name;
  client_.call({client::Verb::kPatch,
                {"", "v1", "pods", name.ns, name.name, "status"},
                json::write(patch),
                client::PatchType::kStrategicMerge,
                {}},
               [](Result<ObjectRef>) {});
  volumes_.bind(pod, node, std::move(plan), [this, pod, node](Result<void> bound) {
    if (!bound.ok()) return reject(pod, bound.error(), "");
    bind(pod, node);
  });
}

// What was assumed was wrong: the pod goes back into the queue.
void Scheduler::reject(const PodInfoRef& pod, const Error& error, const std::string& what) {
  table_.remove_pod(pod->uid());
  if (error.code == Code::kNotFound) return queue_.remove(pod->uid());
  recorder_.record(api::decode(*pod->object), api::EventType::kWarning, "FailedScheduling",
                   what + error.message, "Scheduling");
  queue_.retry(pod->uid());
}

void Scheduler::bind(const PodInfoRef& pod, const std::string& node) {
  const NamespacedName& name = pod->object->name;
  json::Value binding = json::Value::object(
      {{"apiVersion", "v1"},
       {"kind", "Binding"},
       {"metadata",
        json::Value::object({{"name", name.name}, {"namespace", name.ns}, {"uid", pod->uid()}})},
       {"target", json::Value::object({{"kind", "Node"}, {"name", node}})}});
  client::Request request{client::Verb::kCreate,
                          {"", "v1", "pods", name.ns, name.name, "binding"},
                          json::write(binding),
                          {},
                          {}};
  client_.call(std::move(request),
               [this, pod, node, alive = std::weak_ptr<int>(alive_)](Result<ObjectRef> answer) {
                 if (!alive.expired()) on_bound(pod, node, answer);
               });
}

void Scheduler::on_bound(const PodInfoRef& pod, const std::string& node,
                         const Result<ObjectRef>& answer) {
  json::Value object = api::decode(*pod->object);
  if (answer.ok()) {
    queue_.placed(pod->uid());
    recorder_.record(object, api::EventType::kNormal, "Scheduled",
                     "Successfully assigned " + pod->object->name.text() + " to " + node,
                     "Binding");
    return;
  }
  reject(pod, answer.error(), "binding rejected: ");
}

void Scheduler::fail(const PodInfoRef& pod, const Choice& choice) {
  std::string message = choice.message;
  const std::string* nominate = nullptr;
  Preemption preemption;
  unsigned wakes_on = choice.wakes_on;
  if (!choice.verdicts.empty()) {
    preemption = find_preemption(algorithm_, table_, cache_, *pod, choice);
    message += kNoClaims;
    if (preemption.node.empty()) {
      message += ", preemption: " + preemption.message;
    } else {
      message += ".";
      nominate = &preemption.node;
      wakes_on |= kPodGone;
    }
  }
  recorder_.record(api::decode(*pod->object), api::EventType::kWarning, "FailedScheduling", message,
                   "Scheduling");
  if (table_.nodes().empty()) {
    queue_.retry(pod->uid(), kNodeChange);  // nothing refused it: it may be tried any time
  } else {
    queue_.unschedulable(pod->uid(), wakes_on);
  }
  tell_unschedulable(pod, message, nominate);
  if (nominate != nullptr) preempt(pod, preemption);
}

void Scheduler::preempt(const PodInfoRef& pod, const Preemption& preemption) {
  for (const PodInfoRef& victim : preemption.victims) {
    const NamespacedName& name = victim->object->name;
    json::Value condition = json::Value::object(
        {{"type", "DisruptionTarget"},
         {"status", "True"},
         {"observedGeneration", victim->generation},
         {"lastTransitionTime", base::format_time(clock_.now_us())},
         {"reason", "PreemptionByScheduler"},
         {"message", name_ + ": preempting to accommodate a higher priority pod"}});
    json::Value patch = json::Value::object(
        {{"status",
          json::Value::object({{"conditions", json::Value::array({std::move(condition)})}})}});
    client_.call({client::Verb::kPatch,
                  {"", "v1", "pods", name.ns, name.name, "status"},
                  json::write(patch),
                  client::PatchType::kStrategicMerge,
                  {}},
                 [](Result<ObjectRef>) {});
    json::Value options =
        json::Value::object({{"kind", "DeleteOptions"},
                             {"apiVersion", "v1"},
                             {"preconditions", json::Value::object({{"uid", victim->uid()}})}});
    client_.call({client::Verb::kDelete,
                  {"", "v1", "pods", name.ns, name.name, ""},
                  json::write(options),
                  {},
                  {}},
                 [](Result<ObjectRef>) {});
    recorder_.record(api::decode(*victim->object), api::EventType::kNormal, "Preempted",
                     "Preempted by pod " + pod->uid() + " on node " + preemption.node,
                     "Preempting");
  }
}

void Scheduler::tell_unschedulable(const PodInfoRef& pod, const std::string& message,
                                   const std::string* nominate) {
  ObjectRef now = cache_.get({{"", "pods"}, pod->object->name});
  if (now == nullptr || now->uid != pod->uid()) return;
  json::Value value = api::decode(*now);
  const json::Value& current = api::condition(value["status"]["conditions"], "PodScheduled");
  bool same = current["status"].as_string() == "False" &&
              current["reason"].as_string() == "Unschedulable" &&
              current["message"].as_string() == message;
  if (same && nominate == nullptr) return;
  json::Value transition = current["status"].as_string() == "False"
                               ? current["lastTransitionTime"]
                               : json::Value(base::format_time(clock_.now_us()));
  json::Value condition = json::Value::object({{"type", "PodScheduled"},
                                               {"observedGeneration", pod->generation},
                                               {"status", "False"},
                                               {"lastProbeTime", json::Value()},
                                               {"lastTransitionTime", std::move(transition)},
                                               {"reason", "Unschedulable"},
                                               {"message", message}});
  json::Value status =
      json::Value::object({{"conditions", json::Value::array({std::move(condition)})}});
  if (nominate != nullptr) status.set("nominatedNodeName", *nominate);
  json::Value patch = json::Value::object({{"status", std::move(status)}});
  const NamespacedName& name = now->name;
  client_.call({client::Verb::kPatch,
                {"", "v1", "pods", name.ns, name.name, "status"},
                json::write(patch),
                client::PatchType::kStrategicMerge,
                {}},
               [](Result<ObjectRef>) {});
}

}  // namespace knarr::server
