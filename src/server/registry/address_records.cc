#include "server/registry/address_records.h"

#include "api/ip_list.h"
#include "base/log.h"
#include "base/time.h"
#include "server/registry/local_client.h"
#include "server/registry/registry.h"

namespace knarr::server {
namespace {

using json::Value;

constexpr std::string_view kManager = "ipallocator.k8s.io";
constexpr std::string_view kManagedBy = "ipaddress.kubernetes.io/managed-by";
const GroupResource kAddresses = {"networking.k8s.io", "ipaddresses"};
const GroupResource kRanges = {"networking.k8s.io", "servicecidrs"};

client::Target target_of(const GroupResource& resource, std::string name) {
  return {resource.group, "v1", resource.resource, "", std::move(name), ""};
}

void note_failure(std::string_view what, const Result<ObjectRef>& done) {
  if (done.ok() || done.error().code == Code::kNotFound) return;
  base::log(base::Level::kWarning, "registry", "{}: {}", what, done.error().message);
}

}  // namespace

AddressRecords::AddressRecords(Registry& registry)
    : registry_(registry),
      client_(std::make_unique<LocalClient>(registry, privileged_user("system:apiserver"),
                                            "kube-apiserver")) {}

AddressRecords::~AddressRecords() = default;

bool AddressRecords::taken(const std::string& address) const {
  return !leaving_.contains(address) &&
         registry_.cache().get({kAddresses, {"", address}}) != nullptr;
}

void AddressRecords::publish(const std::string& address, const NamespacedName& service) {
  Value labels =
      Value::object({{"ipaddress.kubernetes.io/ip-family", api::family_name(api::is_v6(address))},
                     {kManagedBy, kManager}});
  Value parent =
      Value::object({{"resource", "services"}, {"namespace", service.ns}, {"name", service.name}});
  Value object = Value::object(
      {{"kind", "IPAddress"},
       {"apiVersion", "networking.k8s.io/v1"},
       {"metadata", Value::object({{"name", address}, {"labels", std::move(labels)}})},
       {"spec", Value::object({{"parentRef", std::move(parent)}})}});
  client::Request request;
  request.verb = client::Verb::kCreate;
  request.target = target_of(kAddresses, "");
  request.body = json::write(object);
  client_->call(std::move(request), [address](const Result<ObjectRef>& made) {
    note_failure("record address " + address, made);
  });
}

void AddressRecords::withdraw(const std::string& address) {
  leaving_.insert(address);
  client::Request request;
  request.verb = client::Verb::kDelete;
  request.target = target_of(kAddresses, address);
  client_->call(std::move(request), [this, address](const Result<ObjectRef>& gone) {
    leaving_.erase(address);
    note_failure("remove the record of address " + address, gone);
  });
}

void AddressRecords::repair(const std::vector<std::string>& cidrs) {
  repair_range(cidrs);
  std::set<std::string> held;
  registry_.cache().for_each({"", "services"}, "", [&](const ObjectRef& object) {
    Result<Value> service = json::parse(object->json);
    if (!service.ok()) return true;
    for (const Value& address : (*service)["spec"]["clusterIPs"].elements()) {
      if (address.as_string().empty() || address.as_string() == "None") continue;
      held.insert(address.text());
    }
    return true;
  });
  std::vector<std::string> stale;
  registry_.cache().for_each(kAddresses, "", [&](const ObjectRef& object) {
    const std::string* manager = object->label(kManagedBy);
    bool ours = manager != nullptr && *manager == kManager;
    if (ours && !held.contains(object->name.name)) stale.push_back(object->name.name);
    return true;
  });
  for (const std::string& address : stale) withdraw(address);
  std::vector<std::pair<std::string, NamespacedName>> missing;
  registry_.cache().for_each({"", "services"}, "", [&](const ObjectRef& object) {
    Result<Value> service = json::parse(object->json);
    if (!service.ok()) return true;
    for (const Value& address : (*service)["spec"]["clusterIPs"].elements()) {
      std::string text = address.text();
      if (held.contains(text) && !taken(text)) missing.emplace_back(text, object->name);
    }
    return true;
  });
  for (const auto& [address, service] : missing) publish(address, service);
}

// A cluster that has got a second IP family; other changes are for the administrator.
void AddressRecords::widen_range(const Object& there, Value cidrs) {
  Result<Value> range = json::parse(there.json);
  if (!range.ok()) return;
  const Value& had = (*range)["spec"]["cidrs"];
  if (had.size() != 1 || cidrs.size() != 2 || !(had[0] == cidrs[0])) return;
  client::Request request;
  request.verb = client::Verb::kPatch;
  request.patch_type = client::PatchType::kMerge;
  request.target = target_of(kRanges, there.name.name);
  request.body =
      json::write(Value::object({{"spec", Value::object({{"cidrs", std::move(cidrs)}})}}));
  client_->call(std::move(request), [](const Result<ObjectRef>& made) {
    note_failure("widen the default ServiceCIDR", made);
  });
}

// Made once and marked ready, as upstream's API server does it.
void AddressRecords::repair_range(const std::vector<std::string>& texts) {
  const std::string name = "kubernetes";
  Value cidrs = Value::array();
  for (const std::string& text : texts) cidrs.push_back(text);
  if (ObjectRef there = registry_.cache().get({kRanges, {"", name}}); there != nullptr) {
    return widen_range(*there, std::move(cidrs));
  }
  Value meta = Value::object({{"name", name}});
  Value object = Value::object({{"kind", "ServiceCIDR"},
                                {"apiVersion", "networking.k8s.io/v1"},
                                {"metadata", meta},
                                {"spec", Value::object({{"cidrs", std::move(cidrs)}})}});
  client::Request create;
  create.verb = client::Verb::kCreate;
  create.target = target_of(kRanges, "");
  create.body = json::write(object);
  Value ready =
      Value::object({{"type", "Ready"},
                     {"status", "True"},
                     {"reason", ""},
                     {"message", "Kubernetes default Service CIDR is ready"},
                     {"lastTransitionTime", base::format_time(registry_.clock().now_us())}});
  object.erase("spec");
  object.set("status", Value::object({{"conditions", Value::array({std::move(ready)})}}));
  client::Request status;
  status.verb = client::Verb::kPatch;
  status.patch_type = client::PatchType::kMerge;
  status.target = target_of(kRanges, name);
  status.target.subresource = "status";
  status.body = json::write(object);
  client_->call(std::move(create), [this, status](const Result<ObjectRef>& made) {
    note_failure("make the default ServiceCIDR", made);
    if (!made.ok()) return;
    client_->call(status, [](const Result<ObjectRef>& marked) {
      note_failure("mark the default ServiceCIDR ready", marked);
    });
  });
}

}  // namespace knarr::server
