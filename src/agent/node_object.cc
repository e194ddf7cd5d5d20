#include "agent/node_object.h"

#include <utility>

#include "base/log.h"
#include "base/time.h"

namespace knarr::agent {

using json::Value;

namespace {

constexpr int64_t kRetryMs = 1000;
constexpr int64_t kRenewMs = 10 * 1000;
constexpr int64_t kLeaseSeconds = 40;
constexpr size_t kMaxImages = 50;

const Value* condition_of(const Value& node, std::string_view type) {
  for (const Value& c : node["status"]["conditions"].elements()) {
    if (c["type"].as_string() == type) return &c;
  }
  return nullptr;
}

Value condition(const char* type, bool status, const char* reason, std::string_view message,
                const std::string& now) {
  return Value::object({{"type", type},
                        {"status", status ? "True" : "False"},
                        {"lastHeartbeatTime", now},
                        {"lastTransitionTime", now},
                        {"reason", reason},
                        {"message", message}});
}

Value ready_condition(const NodeHealth& health, const std::string& now) {
  if (health.ready && health.network_problem.empty()) {
    return condition("Ready", true, "KubeletReady", "kubelet is posting ready status", now);
  }
  return condition(
      "Ready", false, "KubeletNotReady",
      health.ready ? health.network_problem : std::string("container runtime is being started"),
      now);
}

// "key=value:Effect" or "key:Effect".
Value taint_of(const std::string& text) {
  size_t colon = text.rfind(':');
  std::string effect = colon == std::string::npos ? "NoSchedule" : text.substr(colon + 1);
  std::string rest = text.substr(0, colon);
  size_t equals = rest.find('=');
  Value taint = Value::object({{"key", rest.substr(0, equals)}, {"effect", effect}});
  if (equals != std::string::npos) taint.set("value", rest.substr(equals + 1));
  return taint;
}

Value map_of(const std::map<std::string, std::string>& map) {
  Value out = Value::object();
  for (const auto& [key, value] : map) out.set(key, value);
  return out;
}

// What of `wanted` is not there, or otherwise.
Value difference(const Value& wanted, const Value& there) {
  Value out = Value::object();
  for (auto [key, value] : wanted.members()) {
    if (!(there[key] == value)) out.set(key, value);
  }
  return out;
}

// A patch would take two addresses of one type for the same entry. What others have added stays.
void replace_addresses(Value& addresses, const Value& node) {
  for (const Value& address : node["status"]["addresses"].elements()) {
    std::string_view type = address["type"].as_string();
    if (type != "InternalIP" && type != "Hostname") addresses.push_back(address);
  }
  addresses.push_back(Value::object({{"$patch", "replace"}}));
}

bool has_two_addresses(const Value& node) {
  int own = 0;
  for (const Value& address : node["status"]["addresses"].elements()) {
    own += address["type"].as_string() == "InternalIP" ? 1 : 0;
  }
  return own > 1;
}

Value addresses_of(const NodeOptions& options) {
  Value list = Value::array();
  for (const std::string& ip : options.ips) {
    list.push_back(Value::object({{"type", "InternalIP"}, {"address", ip}}));
  }
  list.push_back(Value::object({{"type", "Hostname"}, {"address", options.hostname}}));
  return list;
}

}  // namespace

Value node_labels(const NodeOptions& options, const MachineFacts& facts) {
  Value labels = Value::object({{"beta.kubernetes.io/arch", facts.architecture},
                                {"beta.kubernetes.io/os", "linux"},
                                {"kubernetes.io/arch", facts.architecture},
                                {"kubernetes.io/hostname", options.hostname},
                                {"kubernetes.io/os", "linux"}});
  for (const auto& [key, value] : options.labels) labels.set(key, value);
  return labels;
}

Value node_capacity(const NodeOptions& options, const MachineFacts& facts) {
  return Value::object({{"cpu", std::to_string(facts.cpus)},
                        {"memory", std::to_string(facts.memory_bytes / 1024) + "Ki"},
                        {"ephemeral-storage", std::to_string(facts.disk_bytes / 1024) + "Ki"},
                        {"hugepages-1Gi", "0"},
                        {"hugepages-2Mi", "0"},
                        {"pods", std::to_string(options.max_pods)}});
}

Value node_status(const NodeOptions& options, const MachineFacts& facts,
                  const std::string& runtime_version, const NodeHealth& health, int64_t now_us) {
  std::string now = base::format_time(now_us);
  Value status = Value::object();
  status.set("capacity", node_capacity(options, facts));
  status.set("allocatable", node_capacity(options, facts));
  status.set("conditions",
             Value::array({health.memory_pressure
                               ? condition("MemoryPressure", true, "KubeletHasInsufficientMemory",
                                           "kubelet has insufficient memory available", now)
                               : condition("MemoryPressure", false, "KubeletHasSufficientMemory",
                                           "kubelet has sufficient memory available", now),
                           health.disk_pressure
                               ? condition("DiskPressure", true, "KubeletHasDiskPressure",
                                           "kubelet has disk pressure", now)
                               : condition("DiskPressure", false, "KubeletHasNoDiskPressure",
                                           "kubelet has no disk pressure", now),
                           condition("PIDPressure", false, "KubeletHasSufficientPID",
                                     "kubelet has sufficient PID available", now),
                           ready_condition(health, now)}));
  status.set("addresses", addresses_of(options));
  status.set("daemonEndpoints",
             Value::object({{"kubeletEndpoint",
                             Value::object({{"Port", static_cast<int>(options.kubelet_port)}})}}));
  status.set("nodeInfo", Value::object({{"machineID", facts.machine_id},
                                        {"systemUUID", facts.system_uuid},
                                        {"bootID", facts.boot_id},
                                        {"kernelVersion", facts.kernel},
                                        {"osImage", facts.os_image},
                                        {"containerRuntimeVersion", runtime_version},
                                        {"kubeletVersion", options.version},
                                        {"kubeProxyVersion", ""},
                                        {"operatingSystem", "linux"},
                                        {"architecture", facts.architecture}}));
  return status;
}

NodeObject::NodeObject(NodeOptions options, MachineFacts facts, client::Client& client,
                       Clock& clock, std::string runtime_version)
    : options_(std::move(options)),
      facts_(std::move(facts)),
      client_(client),
      clock_(clock),
      runtime_version_(std::move(runtime_version)),
      capacity_(node_capacity(options_, facts_)) {}

NodeObject::~NodeObject() { *alive_ = false; }

client::Reply NodeObject::guarded(std::function<void(Result<ObjectRef>)> fn) {
  return [alive = std::weak_ptr<bool>(alive_), fn = std::move(fn)](Result<ObjectRef> reply) {
    if (!alive.expired()) fn(std::move(reply));
  };
}

void NodeObject::start(std::function<void(const Value&)> registered) {
  registered_ = std::move(registered);
  ensure();
}

void NodeObject::retry(void (NodeObject::*step)()) {
  retry_timer_ = clock_.timer([this, step] { (this->*step)(); });
  retry_timer_->start(kRetryMs);
}

void NodeObject::ensure() {
  client::Request request;
  request.target = {"", "v1", "nodes", "", options_.name, ""};
  client_.call(std::move(request), guarded([this](Result<ObjectRef> reply) {
                 if (reply.ok()) {
                   auto node = json::parse((*reply)->json);
                   found(node.ok() ? *node : Value());
                 } else if (reply.error().code == Code::kNotFound) {
                   create();
                 } else {
                   base::log(base::Level::kWarning, "agent", "get node {}: {}", options_.name,
                             reply.error().message);
                   retry(&NodeObject::ensure);
                 }
               }));
}

void NodeObject::create() {
  Value metadata =
      Value::object({{"name", options_.name}, {"labels", node_labels(options_, facts_)}});
  if (!options_.annotations.empty()) metadata.set("annotations", map_of(options_.annotations));
  Value spec = Value::object();
  if (!options_.taints.empty()) {
    Value taints = Value::array();
    for (const std::string& t : options_.taints) taints.push_back(taint_of(t));
    spec.set("taints", taints);
  }
  client::Request request;
  request.verb = client::Verb::kCreate;
  request.target = {"", "v1", "nodes", "", "", ""};
  request.body = json::write(Value::object(
      {{"apiVersion", "v1"},
       {"kind", "Node"},
       {"metadata", metadata},
       {"spec", spec},
       {"status", node_status(options_, facts_, runtime_version_, health_, clock_.now_us())}}));
  client_.call(std::move(request), guarded([this](Result<ObjectRef> reply) {
                 if (!reply.ok() && reply.error().code != Code::kAlreadyExists) {
                   base::log(base::Level::kWarning, "agent", "register node {}: {}", options_.name,
                             reply.error().message);
                   retry(&NodeObject::ensure);
                   return;
                 }
                 ensure();
               }));
}

// Labels and annotations that the machine determines are put right; the rest is the users'.
void NodeObject::found(const Value& node) {
  node_ = node;
  const Value& meta = node["metadata"];
  Value labels = difference(node_labels(options_, facts_), meta["labels"]);
  Value annotations = difference(map_of(options_.annotations), meta["annotations"]);
  Value wanted = Value::object();
  if (!labels.empty()) wanted.set("labels", std::move(labels));
  if (!annotations.empty()) wanted.set("annotations", std::move(annotations));
  if (!wanted.empty()) {
    client::Request request;
    request.verb = client::Verb::kPatch;
    request.patch_type = client::PatchType::kMerge;
    request.target = {"", "v1", "nodes", "", options_.name, ""};
    request.body = json::write(Value::object({{"metadata", std::move(wanted)}}));
    client_.call(std::move(request), guarded([this](const Result<ObjectRef>& patched) {
                   if (patched.ok()) return;
                   base::log(base::Level::kWarning, "agent", "node {}: {}", options_.name,
                             patched.error().message);
                   retry(&NodeObject::ensure);
                 }));
  }
  write_status();
  if (!registered_once_) renewed_at_ms_ = clock_.monotonic_ms();
  renew_lease();
  if (registered_once_) return;
  registered_once_ = true;
  registered_(node_);
}

void NodeObject::set_ready() {
  health_.ready = true;
  if (registered_once_) write_status();
}

void NodeObject::set_pressure(bool memory, bool disk) {
  NodeHealth before = health_;
  health_.memory_pressure = memory;
  health_.disk_pressure = disk;
  if (registered_once_ && !(health_ == before)) write_status();
}

void NodeObject::set_network_problem(const std::string& problem) {
  if (std::exchange(health_.network_problem, problem) == problem) return;
  if (registered_once_ && health_.ready) write_status();
}

void NodeObject::set_images(const std::vector<runtime::ImageSpec>& images) {
  Value list = Value::array();
  for (const runtime::ImageSpec& image : images) {
    if (list.size() == kMaxImages) break;
    Value names = Value::array();
    for (const std::string& name : image.repo_digests) names.push_back(name);
    for (const std::string& name : image.repo_tags) names.push_back(name);
    list.push_back(Value::object({{"names", names}, {"sizeBytes", image.size_bytes}}));
  }
  if (list == images_) return;
  images_ = std::move(list);
  if (registered_once_) write_status();
}

void NodeObject::write_status() {
  if (status_busy_) {
    status_again_ = true;
    return;
  }
  Value status = node_status(options_, facts_, runtime_version_, health_, clock_.now_us());
  for (Value& c : status.member("conditions").elements()) {
    const Value* before = condition_of(node_, c["type"].as_string());
    if (before != nullptr && (*before)["status"] == c["status"]) {
      c.set("lastTransitionTime", (*before)["lastTransitionTime"]);
    }
  }
  if (!images_.is_null()) status.set("images", images_);
  // Of one that it had, and has no more, a patch by types would leave it.
  if (options_.ips.size() > 1 || has_two_addresses(node_))
    replace_addresses(status.member("addresses"), node_);
  client::Request request;
  request.verb = client::Verb::kPatch;
  request.patch_type = client::PatchType::kStrategicMerge;
  request.target = {"", "v1", "nodes", "", options_.name, "status"};
  request.body = json::write(Value::object({{"status", std::move(status)}}));
  status_busy_ = true;
  client_.call(std::move(request), guarded([this](Result<ObjectRef> reply) {
                 status_busy_ = false;
                 if (!reply.ok()) {
                   base::log(base::Level::kWarning, "agent", "status of node {}: {}", options_.name,
                             reply.error().message);
                   retry(&NodeObject::ensure);
                   return;
                 }
                 if (auto node = json::parse((*reply)->json); node.ok()) node_ = *std::move(node);
                 if (std::exchange(status_again_, false)) write_status();
               }));
}

void NodeObject::renew_lease() {
  if (!lease_timer_) lease_timer_ = clock_.timer([this] { renew_lease(); });
  lease_timer_->start(kRenewMs);
  if (renewal_fn_) renewal_fn_();
  Value spec = Value::object({{"holderIdentity", options_.name},
                              {"leaseDurationSeconds", kLeaseSeconds},
                              {"renewTime", base::format_micro_time(clock_.now_us())}});
  client::Request request;
  request.verb = client::Verb::kPatch;
  request.patch_type = client::PatchType::kMerge;
  request.target = {"coordination.k8s.io", "v1", "leases", "kube-node-lease", options_.name, ""};
  request.body = json::write(Value::object({{"spec", std::move(spec)}}));
  client_.call(std::move(request), guarded([this](Result<ObjectRef> reply) {
                 if (reply.ok()) return renewed();
                 if (reply.error().code == Code::kNotFound) create_lease();
               }));
}

// After a silence the server may have marked the node Unknown: what it says of it is put right.
void NodeObject::renewed() {
  int64_t now = clock_.monotonic_ms();
  int64_t silence = now - std::exchange(renewed_at_ms_, now);
  if (silence > kLeaseSeconds * 1000) ensure();
}

void NodeObject::create_lease() {
  Value owner = Value::object({{"apiVersion", "v1"},
                               {"kind", "Node"},
                               {"name", options_.name},
                               {"uid", node_["metadata"]["uid"]}});
  Value metadata = Value::object({{"name", options_.name},
                                  {"namespace", "kube-node-lease"},
                                  {"ownerReferences", Value::array({owner})}});
  Value spec = Value::object({{"holderIdentity", options_.name},
                              {"leaseDurationSeconds", kLeaseSeconds},
                              {"renewTime", base::format_micro_time(clock_.now_us())}});
  client::Request request;
  request.verb = client::Verb::kCreate;
  request.target = {"coordination.k8s.io", "v1", "leases", "kube-node-lease", "", ""};
  request.body = json::write(Value::object({{"apiVersion", "coordination.k8s.io/v1"},
                                            {"kind", "Lease"},
                                            {"metadata", metadata},
                                            {"spec", spec}}));
  client_.call(std::move(request), guarded([](const Result<ObjectRef>&) {}));
}

}  // namespace knarr::agent
