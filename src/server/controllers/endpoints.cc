#include "server/controllers/endpoints.h"

#include <algorithm>
#include <map>

#include "api/view/meta.h"
#include "base/time.h"
#include "server/controllers/endpoint_slice.h"

namespace knarr::server {

namespace {

constexpr size_t kMaxAddresses = 1000;
constexpr const char* kTriggerTime = "endpoints.kubernetes.io/last-change-trigger-time";
constexpr const char* kOverCapacity = "endpoints.kubernetes.io/over-capacity";
constexpr const char* kManagedLabel = "endpoints.kubernetes.io/managed-by";
constexpr const char* kHeadlessLabel = "service.kubernetes.io/headless";

struct Subset {
  json::Value ports;
  std::map<std::string, json::Value> ready, not_ready;  // by address
};

json::Value values_of(const std::map<std::string, json::Value>& map) {
  json::Value list = json::Value::array();
  for (const auto& [key, value] : map) list.push_back(value);
  return list;
}

}  // namespace

json::Value endpoint_subsets(const json::Value& service, const std::vector<api::PodView>& pods,
                             bool* truncated) {
  std::map<std::string, Subset> subsets;
  bool publish = service["spec"]["publishNotReadyAddresses"].as_bool();
  size_t total = 0;
  *truncated = false;
  std::string family = "IPv4";
  if (const json::Value& f = service["spec"]["ipFamilies"][0]; f.is_string()) family = f.text();
  for (const api::PodView& pod : pods) {
    if (!pod_has_endpoint(pod) || (pod.deleting() && !publish)) continue;
    json::Value slice = slice_endpoint(service, pod, family, nullptr);
    if (slice.is_null()) continue;
    json::Value ports = slice_ports(service, pod);
    for (json::Value& p : ports.elements()) {
      if (p["name"].as_string().empty()) p.erase("name");
    }
    if (ports.empty() && !service["spec"]["ports"].empty()) continue;
    if (++total > kMaxAddresses) {
      *truncated = true;
      break;
    }
    std::string ip = slice["addresses"][0].text();
    json::Value address = json::Value::object({{"ip", ip}});
    if (slice.has("hostname")) address.set("hostname", slice["hostname"]);
    if (!pod.node.empty()) address.set("nodeName", pod.node);
    address.set("targetRef", slice["targetRef"]);
    Subset& subset = subsets[api::sorted_text(ports)];
    subset.ports = std::move(ports);
    (pod.ready || publish ? subset.ready : subset.not_ready).emplace(ip, std::move(address));
  }
  json::Value result = json::Value::array();
  for (const auto& [key, subset] : subsets) {
    json::Value s = json::Value::object();
    if (!subset.ready.empty()) s.set("addresses", values_of(subset.ready));
    if (!subset.not_ready.empty()) s.set("notReadyAddresses", values_of(subset.not_ready));
    if (!subset.ports.empty()) s.set("ports", subset.ports);
    result.push_back(std::move(s));
  }
  return result;
}

EndpointsController::EndpointsController(const ControllerContext& context)
    : Controller(context, "endpoint-controller") {}

std::vector<GroupResource> EndpointsController::watches() const {
  return {kServices.key(), kPods.key(), kEndpoints.key()};
}

void EndpointsController::on_change(const GroupResource& resource, const ObjectRef& previous,
                                    const ObjectRef& object) {
  if (resource.resource == kPods.plural) {
    return for_services_of(context_.cache, previous, object,
                           [this](const NamespacedName& name) { enqueue(name); });
  }
  enqueue((object ? object : previous)->name);
}

void EndpointsController::reconcile(const NamespacedName& key, const PassRef& pass) {
  ObjectRef object = context_.get(kServices, key);
  ObjectRef existing = context_.get(kEndpoints, key);
  if (object == nullptr) {
    if (existing == nullptr || existing->label(kManagedLabel) == nullptr) return;
    return pass->remove(delete_request(kEndpoints, key, existing->uid));
  }
  json::Value service = api::decode(*object);
  const json::Value& selector = service["spec"]["selector"];
  if (object->deleting || selector.empty() ||
      service["spec"]["type"].as_string() == "ExternalName") {
    return;
  }
  std::vector<api::PodView> pods;
  auto match = api::LabelMatch::of_map(selector);
  context_.cache.for_each(kPods.key(), key.ns, [&](const ObjectRef& pod) {
    if (match.matches(*pod)) pods.emplace_back(pod);
    return true;
  });
  bool truncated = false;
  json::Value subsets = endpoint_subsets(service, pods, &truncated);
  json::Value labels = service["metadata"]["labels"];
  if (!labels.is_object()) labels = json::Value::object();
  if (service["spec"]["clusterIP"].as_string() == "None") {
    labels.set(kHeadlessLabel, "");
  } else {
    labels.erase(kHeadlessLabel);
  }
  labels.set(kManagedLabel, "endpoint-controller");
  if (existing == nullptr) {
    json::Value meta =
        json::Value::object({{"name", key.name}, {"namespace", key.ns}, {"labels", labels}});
    if (truncated) meta.member("annotations").set(kOverCapacity, "truncated");
    json::Value made = json::Value::object({{"metadata", std::move(meta)}});
    if (!subsets.empty()) made.set("subsets", std::move(subsets));
    return pass->write(create_request(kEndpoints, key.ns, std::move(made)),
                       [this, pass, service](Result<ObjectRef> answer) {
                         // A namespace on its way out refuses: nobody will ask for it again.
                         if (answer.ok() || answer.error().code == Code::kForbidden) return;
                         event(service, true, "FailedToCreateEndpoint",
                               "Failed to create endpoint for service " + pass->key().text() +
                                   ": " + answer.error().message);
                         pass->fail(answer.error());
                       });
  }
  json::Value current = api::decode(*existing);
  bool same = (current["subsets"] == subsets || (subsets.empty() && current["subsets"].empty())) &&
              current["metadata"]["labels"] == labels &&
              current["metadata"]["annotations"].has(kOverCapacity) == truncated;
  if (same) return;
  json::Value changed = current;
  if (subsets.empty()) {
    changed.erase("subsets");
  } else {
    changed.set("subsets", std::move(subsets));
  }
  json::Value& meta = changed.member("metadata");
  meta.set("labels", std::move(labels));
  if (truncated) {
    meta.member("annotations").set(kOverCapacity, "truncated");
  } else if (json::Value* notes = meta.find("annotations")) {
    notes->erase(kOverCapacity);
  }
  if (json::Value* notes = meta.find("annotations")) notes->erase(kTriggerTime);
  pass->write(update_request(kEndpoints, changed));
}

namespace {

constexpr const char* kMirrorManager = "endpointslicemirroring-controller.k8s.io";
constexpr const char* kSliceManaged = "endpointslice.kubernetes.io/managed-by";
constexpr const char* kSliceService = "kubernetes.io/service-name";

// The slices that say what a subset says, one an address family.
void mirror_subset(const json::Value& subset, std::map<std::string, json::Value>& by_family) {
  for (bool ready : {true, false}) {
    for (const json::Value& a : subset[ready ? "addresses" : "notReadyAddresses"].elements()) {
      std::string family =
          a["ip"].as_string().find(':') == std::string_view::npos ? "IPv4" : "IPv6";
      json::Value& slice = by_family[family];
      json::Value e =
          json::Value::object({{"addresses", json::Value::array({a["ip"]})},
                               {"conditions", json::Value::object({{"ready", ready}})}});
      for (const char* key : {"hostname", "nodeName", "targetRef"}) {
        if (a.has(key)) e.set(key, a[key]);
      }
      slice.member("endpoints").push_back(std::move(e));
      json::Value ports = json::Value::array();
      for (const json::Value& p : subset["ports"].elements()) {
        json::Value port = p;
        if (!port.has("name")) port.set("name", "");
        ports.push_back(std::move(port));
      }
      slice.set("ports", std::move(ports)).set("addressType", family);
    }
  }
}

}  // namespace

EndpointSliceMirroringController::EndpointSliceMirroringController(const ControllerContext& context)
    : Controller(context, "endpoint-slice-mirroring-controller") {}

std::vector<GroupResource> EndpointSliceMirroringController::watches() const {
  return {kServices.key(), kEndpoints.key(), kEndpointSlices.key()};
}

void EndpointSliceMirroringController::on_change(const GroupResource& resource,
                                                 const ObjectRef& previous,
                                                 const ObjectRef& object) {
  const ObjectRef& any = object ? object : previous;
  if (resource.resource != kEndpointSlices.plural) return enqueue(any->name);
  const std::string* manager = any->label(kSliceManaged);
  const std::string* service = any->label(kSliceService);
  if (manager != nullptr && *manager == kMirrorManager && service != nullptr) {
    enqueue({any->name.ns, *service});
  }
}

void EndpointSliceMirroringController::reconcile(const NamespacedName& key, const PassRef& pass) {
  ObjectRef service_ref = context_.get(kServices, key);
  ObjectRef endpoints_ref = context_.get(kEndpoints, key);
  std::vector<ObjectRef> mine;
  context_.cache.for_each(kEndpointSlices.key(), key.ns, [&](const ObjectRef& slice) {
    const std::string* manager = slice->label(kSliceManaged);
    const std::string* service = slice->label(kSliceService);
    if (manager != nullptr && *manager == kMirrorManager && service != nullptr &&
        *service == key.name) {
      mine.push_back(slice);
    }
    return true;
  });
  std::map<std::string, json::Value> wanted;  // by the text of what matters
  json::Value endpoints;
  if (service_ref != nullptr && endpoints_ref != nullptr) {
    json::Value service = api::decode(*service_ref);
    endpoints = api::decode(*endpoints_ref);
    const json::Value& meta = endpoints["metadata"];
    bool custom = service["spec"]["selector"].empty() &&
                  !meta["labels"].has("endpointslice.kubernetes.io/skip-mirror") &&
                  !meta["labels"].has(kManagedLabel) &&
                  !meta["annotations"].has("control-plane.alpha.kubernetes.io/leader");
    for (const json::Value& subset : endpoints["subsets"].elements()) {
      if (!custom) break;
      std::map<std::string, json::Value> by_family;
      mirror_subset(subset, by_family);
      for (auto& [family, slice] : by_family) wanted.emplace(api::sorted_text(slice), slice);
    }
  }
  for (const ObjectRef& ref : mine) {
    json::Value slice = api::decode(*ref);
    json::Value said = json::Value::object({{"endpoints", slice["endpoints"]},
                                            {"ports", slice["ports"]},
                                            {"addressType", slice["addressType"]}});
    if (wanted.erase(api::sorted_text(said)) != 0) continue;
    pass->remove(delete_request(kEndpointSlices, ref->name, ref->uid));
  }
  for (auto& [text, slice] : wanted) {
    json::Value labels = endpoints["metadata"]["labels"];
    labels.member(kSliceService) = json::Value(key.name);
    labels.set(kSliceManaged, kMirrorManager);
    slice.set("metadata",
              json::Value::object({{"generateName", key.name + "-"},
                                   {"namespace", key.ns},
                                   {"labels", std::move(labels)},
                                   {"ownerReferences",
                                    json::Value::array({api::controller_reference(endpoints)})}}));
    pass->write(create_request(kEndpointSlices, key.ns, slice));
  }
}

}  // namespace knarr::server
