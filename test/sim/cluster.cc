#include "cluster.h"

#include <map>
#include <set>

#include "api/view/meta.h"
#include "api/view/pod.h"
#include "base/time.h"
#include "server/admission/admission.h"
#include "server/controllers/controllers.h"
#include "server/registry/bootstrap.h"

namespace knarr::sim {

using server::kNodes;
using server::kPods;

// Marks bound pods Running and Ready a little later, ends those that are to end, and lets deleted
// ones go. Level-triggered like everything else: it looks at the pod again at each step.
class HollowKubelet final : public client::WatchHandler {
 public:
  HollowKubelet(SimClock& clock, base::SeededRandom& random, client::Client& client)
      : clock_(clock), random_(random), client_(client) {
    watch_ = client.watch({"", "v1", "pods", "", "", ""}, *this);
  }

  void on_upsert(const ObjectRef& object) override {
    pods_[object->name] = object;
    look(object->name, 1 + static_cast<int64_t>(random_.below(50)));
  }
  void on_delete(const ObjectRef& last) override { pods_.erase(last->name); }

 private:
  void look(const NamespacedName& name, int64_t delay_ms) {
    if (!waiting_.insert(name).second) return;
    auto timer = std::make_shared<std::unique_ptr<Timer>>();
    *timer = clock_.timer([this, name] {
      waiting_.erase(name);
      step(name);
    });
    (*timer)->start(delay_ms);
    timers_[name] = timer;
  }

  void step(const NamespacedName& name) {
    auto it = pods_.find(name);
    if (it == pods_.end()) return;
    api::PodView pod(it->second);
    if (pod.node.empty()) return;
    if (pod.deleting()) {
      json::Value options =
          json::Value::object({{"gracePeriodSeconds", 0},
                               {"preconditions", json::Value::object({{"uid", pod.uid()}})}});
      return client_.call(
          {client::Verb::kDelete, server::target_of(kPods, name), json::write(options), {}, {}},
          retry(name));
    }
    if (pod.terminal()) return;
    std::string exit = pod.value["metadata"]["annotations"]["sim/exit"].text();
    if (pod.phase == api::PodPhase::kRunning && exit.empty()) return;
    const char* phase =
        pod.phase == api::PodPhase::kRunning ? (exit == "0" ? "Succeeded" : "Failed") : "Running";
    bool ready = phase[0] == 'R';
    std::string now = base::format_time(clock_.now_us());
    json::Value conditions = json::Value::array();
    for (const char* type : {"Ready", "ContainersReady", "Initialized"}) {
      conditions.push_back(
          json::Value::object({{"type", type},
                               {"status", ready || type[0] == 'I' ? "True" : "False"},
                               {"lastTransitionTime", now}}));
    }
    json::Value status = json::Value::object({{"phase", phase},
                                              {"startTime", now},
                                              {"podIP", address_of(pod.uid())},
                                              {"conditions", std::move(conditions)}});
    status.set("podIPs",
               json::Value::array({json::Value::object({{"ip", address_of(pod.uid())}})}));
    json::Value patch = json::Value::object(
        {{"metadata", json::Value::object({{"uid", pod.uid()}})}, {"status", std::move(status)}});
    client_.call(
        server::patch_request(kPods, name, patch, client::PatchType::kStrategicMerge, "status"),
        retry(name));
  }

  client::Reply retry(const NamespacedName& name) {
    return [this, name, alive = std::weak_ptr<int>(alive_)](Result<ObjectRef> answer) {
      if (!alive.expired() && !answer.ok()) look(name, 100);
    };
  }

  std::string address_of(const std::string& uid) {
    auto [it, made] = addresses_.emplace(uid, 0);
    if (made) it->second = ++last_address_;
    return "10.244." + std::to_string(it->second / 250 % 250) + "." +
           std::to_string(it->second % 250 + 1);
  }

  SimClock& clock_;
  base::SeededRandom& random_;
  client::Client& client_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
  std::map<NamespacedName, ObjectRef> pods_;
  std::set<NamespacedName> waiting_;
  std::map<NamespacedName, std::shared_ptr<std::unique_ptr<Timer>>> timers_;
  std::map<std::string, int> addresses_;
  int last_address_ = 0;
  std::unique_ptr<client::Watch> watch_;
};

namespace {

constexpr int64_t kHeartbeatMs = 10000;

json::Value ready_condition(int64_t now_us) {
  return json::Value::object({{"type", "Ready"},
                              {"status", "True"},
                              {"reason", "KubeletReady"},
                              {"lastHeartbeatTime", base::format_time(now_us)},
                              {"lastTransitionTime", base::format_time(now_us)}});
}

}  // namespace

// What a kubelet says while it lives.
void Cluster::beat() {
  for (const std::string& name : node_names_) {
    json::Value patch = json::Value::object(
        {{"status", json::Value::object(
                        {{"conditions", json::Value::array({ready_condition(clock.now_us())})}})}});
    client_->call(server::patch_request(kNodes, {"", name}, patch,
                                        client::PatchType::kStrategicMerge, "status"),
                  [](Result<ObjectRef>) {});
  }
  heartbeat_->start(kHeartbeatMs);
}

Cluster::Cluster(uint64_t seed) : random_(seed) {
  auto ca = net::make_ca("sim-ca", clock.now_us() / 1000000);
  CHECK(ca.ok());
  ca_ = *std::move(ca);
  heartbeat_ = clock.timer([this] { beat(); });
  kv::Options options;
  options.volatile_prefixes.push_back(server::kVolatilePrefix);
  store_ = std::make_unique<kv::MemoryStore>(clock, options, [this] {
    kv::Fate fate;
    fate.fail = faults_.fail_in_1000 != 0 && random_.below(1000) < faults_.fail_in_1000;
    if (faults_.max_delay_ms != 0) {
      fate.delay_ms =
          static_cast<int64_t>(random_.below(static_cast<uint64_t>(faults_.max_delay_ms)));
    }
    return fate;
  });
}

Cluster::~Cluster() = default;

void Cluster::start() {
  Faults faults = std::exchange(faults_, {});
  cache_ = std::make_unique<server::Cache>(*store_, clock, server::Registry::cache_options());
  for (server::ResourceSpec& spec : server::Registry::specs())
    cache_->add_resource(std::move(spec));
  bool loaded = false;
  cache_->start([&](Result<void> r) {
    CHECK(r.ok());
    loaded = true;
  });
  CHECK(clock.run_until([&] { return loaded; }, 60000));
  admission_ = server::make_admission({*cache_, clock, random_, &authorizer_});
  server::RegistryDeps deps{*cache_, clock,   random_,      *admission_,
                            nullptr, nullptr, &authorizer_, {}};
  registry_ = std::make_unique<server::Registry>(std::move(deps));
  CHECK(registry_->recover().ok());
  bool ready = false;
  server::bootstrap(*registry_, {"10.0.0.1", 6443}, [&] { ready = true; });
  CHECK(clock.run_until([&] { return ready; }, 60000));
  client_ = std::make_unique<server::LocalClient>(*registry_, server::privileged_user("system:sim"),
                                                  "sim");
  admission_->use(*client_);
  server::ControllerContext context{*cache_, *client_, clock, random_};
  server::ControllersOptions options;
  options.root_ca_pem = ca_.certificate;
  options.ca = ca_;
  options.metrics = metrics_;
  options.local_storage = local_storage_;
  options.server_names = server_names_;
  options.taken_ports = {6443};
  options.taken_udp_ports = {8472};
  host_ = server::make_controllers(context, std::move(options));
  scheduler_ = std::make_unique<server::Scheduler>(*cache_, *client_, clock, random_);
  kubelet_ = std::make_unique<HollowKubelet>(clock, random_, *client_);
  host_->start();
  scheduler_->start();
  heartbeat_->start(kHeartbeatMs);
  faults_ = faults;
}

void Cluster::restart() {
  heartbeat_->stop();
  kubelet_.reset();
  scheduler_.reset();
  host_.reset();
  client_.reset();
  registry_.reset();
  admission_.reset();
  cache_.reset();
  store_->restart();
  start();
}

Result<json::Value> Cluster::call(client::Request request) {
  bool done = false;
  Result<json::Value> result = make_error(Code::kTimeout, "no answer");
  client_->call(std::move(request), [&](Result<ObjectRef> answer) {
    done = true;
    if (answer.ok()) {
      result = *answer != nullptr ? api::decode(**answer) : json::Value();
    } else {
      result = answer.error();
    }
  });
  CHECK(clock.run_until([&] { return done; }, 60000));
  return result;
}

Result<json::Value> Cluster::create(const server::ResourceName& r, const std::string& ns,
                                    json::Value object) {
  return call(server::create_request(r, ns, std::move(object)));
}

Result<json::Value> Cluster::patch(const server::ResourceName& r, const NamespacedName& name,
                                   const char* merge_patch) {
  return call({client::Verb::kPatch,
               server::target_of(r, name),
               merge_patch,
               client::PatchType::kMerge,
               {}});
}

Result<json::Value> Cluster::remove(const server::ResourceName& r, const NamespacedName& name,
                                    const char* propagation) {
  return call(server::delete_request(r, name, "", propagation));
}

json::Value Cluster::get(const server::ResourceName& r, const NamespacedName& name) const {
  ObjectRef object = cache_->get({r.key(), name});
  return object != nullptr ? api::decode(*object) : json::Value();
}

std::vector<json::Value> Cluster::list(const server::ResourceName& r, const std::string& ns) const {
  std::vector<json::Value> items;
  cache_->for_each(r.key(), ns, [&](const ObjectRef& object) {
    items.push_back(api::decode(*object));
    return true;
  });
  return items;
}

std::string Cluster::picture() const {
  std::string text;
  for (const server::ResourceName* r :
       {&kNodes, &server::kDeployments, &server::kReplicaSets, &server::kStatefulSets,
        &server::kDaemonSets, &server::kJobs, &kPods}) {
    for (const json::Value& o : list(*r, "")) {
      text += std::string(r->kind) + " " + o["metadata"]["name"].text() + " " +
              o["spec"]["nodeName"].text() + " " + json::write(o["status"]) + "\n";
    }
  }
  cache_->for_each({"", "events"}, "", [&](const ObjectRef& o) {
    json::Value e = api::decode(*o);
    text += e["reason"].text() + " " + e["message"].text() + "\n";
    return true;
  });
  return text;
}

void Cluster::add_node(const std::string& name, const std::string& cpu,
                       const std::vector<std::pair<std::string, std::string>>& labels) {
  json::Value all = json::Value::object({{"kubernetes.io/hostname", name}});
  for (const auto& [key, value] : labels) all.set(key, value);
  json::Value offered = json::Value::object({{"cpu", cpu}, {"memory", "8Gi"}, {"pods", "110"}});
  json::Value ready = ready_condition(clock.now_us());
  json::Value node = json::Value::object(
      {{"metadata", json::Value::object({{"name", name}, {"labels", std::move(all)}})},
       {"status", json::Value::object({{"capacity", offered},
                                       {"allocatable", offered},
                                       {"conditions", json::Value::array({std::move(ready)})}})}});
  node_names_.push_back(name);
  while (!create(kNodes, "", node).ok()) {
  }
}

}  // namespace knarr::sim
