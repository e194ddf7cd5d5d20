#include "server/registry/api_services.h"

#include <array>
#include <set>

#include "base/format.h"
#include "base/log.h"
#include "base/time.h"
#include "server/registry/local_client.h"

namespace knarr::server {
namespace {

using json::Value;

constexpr const char* kGroup = "apiregistration.k8s.io";
constexpr const char* kManaged = "kube-aggregator.kubernetes.io/automanaged";
constexpr const char* kServiceLabel = "kubernetes.io/service-name";
const GroupResource kApiServices = {kGroup, "apiservices"};
const GroupResource kServices = {"", "services"};
const GroupResource kSlices = {"discovery.k8s.io", "endpointslices"};

// What discovery is ordered by.
struct Priority {
  std::string_view group;
  std::string_view version;
  int group_minimum;
  int version_priority;
};
constexpr std::array<Priority, 24> kPriorities = {{
    {"", "v1", 18000, 1},
    {"apps", "v1", 17800, 15},
    {"events.k8s.io", "v1", 17750, 15},
    {"authentication.k8s.io", "v1", 17700, 15},
    {"authorization.k8s.io", "v1", 17600, 15},
    {"autoscaling", "v1", 17500, 15},
    {"autoscaling", "v2", 17500, 30},
    {"batch", "v1", 17400, 15},
    {"certificates.k8s.io", "v1", 17300, 15},
    {"networking.k8s.io", "v1", 17200, 15},
    {"policy", "v1", 17100, 15},
    {"rbac.authorization.k8s.io", "v1", 17000, 15},
    {"storage.k8s.io", "v1", 16800, 15},
    {"admissionregistration.k8s.io", "v1", 16700, 15},
    {"apiextensions.k8s.io", "v1", 16700, 15},
    {"scheduling.k8s.io", "v1", 16600, 15},
    {"coordination.k8s.io", "v1", 16500, 15},
    {"node.k8s.io", "v1", 16300, 15},
    {"discovery.k8s.io", "v1", 16200, 15},
    {"resource.k8s.io", "v1", 16200, 20},
    {"flowcontrol.apiserver.k8s.io", "v1", 16100, 21},
    {"internal.apiserver.k8s.io", "v1alpha1", 16000, 9},
    {"storagemigration.k8s.io", "v1beta1", 15800, 9},
    {"metrics.k8s.io", "v1beta1", 100, 100},
}};

bool served(const Priority& row, bool metrics) {
  if (row.group == "metrics.k8s.io" && !metrics) return false;
  for (const api::ResourceInfo& resource : api::builtin_resources()) {
    if (resource.group == row.group && resource.version == row.version) return true;
  }
  return false;
}

Value own_object(const Priority& row) {
  Value spec = Value::object();
  if (!row.group.empty()) spec.set("group", row.group);
  spec.set("version", row.version);
  spec.set("groupPriorityMinimum", row.group_minimum);
  spec.set("versionPriority", row.version_priority);
  Value meta = Value::object({{"name", fmt::format("{}.{}", row.version, row.group)},
                              {"labels", Value::object({{kManaged, "onstart"}})}});
  return Value::object({{"kind", "APIService"},
                        {"apiVersion", std::string(kGroup) + "/v1"},
                        {"metadata", std::move(meta)},
                        {"spec", std::move(spec)}});
}

bool has_ready_endpoint(const Value& slice, std::string_view port_name) {
  bool ready = false;
  for (const Value& endpoint : slice["endpoints"].elements()) {
    ready = ready || endpoint["conditions"]["ready"].as_bool(true);
  }
  if (!ready) return false;
  for (const Value& port : slice["ports"].elements()) {
    if (port["name"].is_string() && port["name"].as_string() == port_name &&
        port["port"].is_integer()) {
      return true;
    }
  }
  return false;
}

Availability judge_object(const Value& object, Cache& cache) {
  const Value& reference = object["spec"]["service"];
  if (reference.is_null()) return {true, "Local", "Local APIServices are always available"};
  NamespacedName name{reference["namespace"].text(), reference["name"].text()};
  ObjectRef stored = cache.get({kServices, name});
  Result<Value> service = stored == nullptr ? Value() : json::parse(stored->json);
  std::vector<Value> slices;
  if (stored != nullptr) {
    cache.for_each(kSlices, name.ns, [&](const ObjectRef& slice) {
      const std::string* of = slice->label(kServiceLabel);
      if (of == nullptr || *of != name.name) return true;
      if (Result<Value> value = json::parse(slice->json); value.ok()) slices.push_back(*value);
      return true;
    });
  }
  Availability found =
      check_service(reference, stored != nullptr && service.ok() ? &*service : nullptr, slices);
  if (!found.available) return found;
  const Value& spec = object["spec"];
  return {false, "FailedDiscoveryCheck",
          fmt::format("failing or missing response from https://{}.{}.svc:{}/apis/{}/{}: this "
                      "server passes no requests on",
                      name.name, name.ns, reference["port"].as_int(443), spec["group"].as_string(),
                      spec["version"].as_string())};
}

}  // namespace

Availability check_service(const Value& reference, const Value* service,
                           const std::vector<Value>& slices) {
  std::string_view name = reference["name"].as_string();
  std::string_view ns = reference["namespace"].as_string();
  int64_t wanted = reference["port"].as_int(443);
  if (service == nullptr) {
    return {false, "ServiceNotFound", fmt::format("service/{} in \"{}\" is not present", name, ns)};
  }
  const Value& spec = (*service)["spec"];
  if (spec["type"].as_string("ClusterIP") != "ClusterIP") return {true, {}, {}};
  const Value* port = nullptr;
  for (const Value& p : spec["ports"].elements()) {
    if (port == nullptr && p["port"].as_int() == wanted) port = &p;
  }
  if (port == nullptr) {
    return {false, "ServicePortError",
            fmt::format("service/{} in \"{}\" is not listening on port {}", name, ns, wanted)};
  }
  if (slices.empty()) {
    return {false, "EndpointsNotFound",
            fmt::format("cannot find endpointslices for service/{} in \"{}\"", name, ns)};
  }
  std::string_view port_name = (*port)["name"].as_string();
  for (const Value& slice : slices) {
    if (has_ready_endpoint(slice, port_name)) return {true, {}, {}};
  }
  return {false, "MissingEndpoints",
          fmt::format("endpointslices for service/{} in \"{}\" have no addresses with port name "
                      "\"{}\"",
                      name, ns, port_name)};
}

class ApiServices::Own final : public client::WatchHandler {
 public:
  explicit Own(ApiServices& owner) : owner_(owner) {}
  void on_upsert(const ObjectRef& object) override { owner_.seen(object); }
  void on_delete(const ObjectRef& last) override { owner_.forget(last->name.name); }

 private:
  ApiServices& owner_;
};

// Services, and their EndpointSlices.
class ApiServices::Others final : public client::WatchHandler {
 public:
  explicit Others(ApiServices& owner) : owner_(owner) {}
  void on_upsert(const ObjectRef& object) override {
    const std::string* of = object->label(kServiceLabel);
    owner_.changed(of == nullptr ? object->name : NamespacedName{object->name.ns, *of});
  }
  void on_delete(const ObjectRef& last) override { on_upsert(last); }

 private:
  ApiServices& owner_;
};

ApiServices::ApiServices(Registry& registry, bool metrics)
    : registry_(registry),
      metrics_(metrics),
      client_(std::make_unique<LocalClient>(registry, privileged_user("system:apiserver"),
                                            "kube-apiserver")),
      own_(std::make_unique<Own>(*this)),
      others_(std::make_unique<Others>(*this)) {}

ApiServices::~ApiServices() = default;

void ApiServices::start() {
  register_own();
  client::WatchTarget target;
  target.version = "v1";
  target.group = kGroup;
  target.resource = kApiServices.resource;
  watches_.push_back(client_->watch(target, *own_));
  target.group = kServices.group;
  target.resource = kServices.resource;
  watches_.push_back(client_->watch(target, *others_));
  target.group = kSlices.group;
  target.resource = kSlices.resource;
  watches_.push_back(client_->watch(target, *others_));
}

// Makes what is missing, brings in line what an older server has left, and removes what it had
// more.
void ApiServices::register_own() {
  std::set<std::string> wanted;
  for (const Priority& row : kPriorities) {
    if (!served(row, metrics_)) continue;
    Value object = own_object(row);
    std::string name = object["metadata"]["name"].text();
    wanted.insert(name);
    ObjectRef there = registry_.cache().get({kApiServices, {"", name}});
    if (there == nullptr) {
      write(client::Verb::kCreate, name, "", json::write(object));
      continue;
    }
    const std::string* managed = there->label(kManaged);
    Result<Value> now = json::parse(there->json);
    if (managed == nullptr || *managed != "onstart" || !now.ok()) continue;
    if ((*now)["spec"] == object["spec"]) continue;
    now->set("spec", object["spec"]);
    write(client::Verb::kUpdate, name, "", json::write(*now));
  }
  std::vector<std::string> spare;
  registry_.cache().for_each(kApiServices, "", [&](const ObjectRef& object) {
    const std::string* managed = object->label(kManaged);
    bool ours = managed != nullptr && *managed == "onstart";
    if (ours && wanted.count(object->name.name) == 0) spare.push_back(object->name.name);
    return true;
  });
  for (const std::string& name : spare) write(client::Verb::kDelete, name, "", "");
}

void ApiServices::write(client::Verb verb, const std::string& name, const char* subresource,
                        std::string body) {
  client::Request request;
  request.verb = verb;
  bool create = verb == client::Verb::kCreate;
  request.target = {kGroup, "v1", kApiServices.resource, "", create ? "" : name, subresource};
  request.body = std::move(body);
  client_->call(std::move(request), [name](Result<ObjectRef> done) {
    if (done.ok()) return;
    // Who came first is seen by the watch, and judged anew.
    Code code = done.error().code;
    if (code == Code::kConflict || code == Code::kNotFound || code == Code::kAlreadyExists) return;
    base::log(base::Level::kWarning, "registry", "APIService {}: {}", name, done.error().message);
  });
}

void ApiServices::seen(const ObjectRef& api_service) {
  const std::string& name = api_service->name.name;
  Result<Value> object = json::parse(api_service->json);
  if (!object.ok()) return;
  const Value& reference = (*object)["spec"]["service"];
  if (reference.is_null()) {
    services_.erase(name);
  } else {
    services_[name] = {reference["namespace"].text(), reference["name"].text()};
  }
  judge(name);
}

void ApiServices::forget(const std::string& name) { services_.erase(name); }

void ApiServices::changed(const NamespacedName& service) {
  std::vector<std::string> names;
  for (const auto& [name, of] : services_) {
    if (of == service) names.push_back(name);
  }
  for (const std::string& name : names) judge(name);
}

void ApiServices::judge(const std::string& name) {
  ObjectRef stored = registry_.cache().get({kApiServices, {"", name}});
  if (stored == nullptr) return;
  Result<Value> object = json::parse(stored->json);
  if (!object.ok()) return;
  Availability found = judge_object(*object, registry_.cache());
  Value condition =
      Value::object({{"type", "Available"},
                     {"status", found.available ? "True" : "False"},
                     {"lastTransitionTime", base::format_time(registry_.clock().now_us())},
                     {"reason", found.reason},
                     {"message", found.message}});
  Value& conditions = object->member("status").member("conditions");
  if (conditions.is_null()) conditions = Value::array();
  for (Value& old : conditions.elements()) {
    if (old["type"].as_string() != "Available") continue;
    if (old["status"] == condition["status"]) {
      condition.set("lastTransitionTime", old["lastTransitionTime"]);
    }
    if (old == condition) return;
    old = std::move(condition);
    return write(client::Verb::kUpdate, name, "status", json::write(*object));
  }
  conditions.push_back(std::move(condition));
  write(client::Verb::kUpdate, name, "status", json::write(*object));
}

}  // namespace knarr::server
