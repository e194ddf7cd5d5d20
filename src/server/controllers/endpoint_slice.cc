#include "server/controllers/endpoint_slice.h"

#include <algorithm>

#include "api/ip_list.h"
#include "api/view/meta.h"
#include "base/time.h"

namespace knarr::server {

namespace {

constexpr size_t kMaxEndpoints = 100;
constexpr const char* kServiceLabel = "kubernetes.io/service-name";
constexpr const char* kManagedLabel = "endpointslice.kubernetes.io/managed-by";
constexpr const char* kManager = "endpointslice-controller.k8s.io";
constexpr const char* kHeadlessLabel = "service.kubernetes.io/headless";
constexpr const char* kTriggerTime = "endpoints.kubernetes.io/last-change-trigger-time";

std::vector<std::string> families_of(const json::Value& service) {
  std::vector<std::string> families;
  for (const json::Value& f : service["spec"]["ipFamilies"].elements())
    families.push_back(f.text());
  if (families.empty()) families.push_back("IPv4");
  return families;
}

}  // namespace

bool pod_has_endpoint(const api::PodView& pod) {
  return !pod.terminal() && !pod.value["status"]["podIP"].as_string().empty();
}

json::Value slice_endpoint(const json::Value& service, const api::PodView& pod,
                           std::string_view family, const json::Value* node) {
  std::string address;
  for (const json::Value& ip : pod.value["status"]["podIPs"].elements()) {
    std::string_view text = ip["ip"].as_string();
    if (api::is_v6(text) == (family == "IPv6") && address.empty()) address = text;
  }
  if (address.empty()) {
    std::string_view text = pod.value["status"]["podIP"].as_string();
    if (text.empty() || api::is_v6(text) != (family == "IPv6")) return {};
    address = text;
  }
  bool serving = pod.ready;
  bool publish = service["spec"]["publishNotReadyAddresses"].as_bool();
  json::Value endpoint = json::Value::object(
      {{"addresses", json::Value::array({address})},
       {"conditions", json::Value::object({{"ready", publish || (serving && !pod.deleting())},
                                           {"serving", serving},
                                           {"terminating", pod.deleting()}})}});
  const json::Value& spec = pod.value["spec"];
  const json::Value& hostname = spec["hostname"];
  if (!hostname.as_string().empty() && spec["subdomain"] == service["metadata"]["name"] &&
      pod.value["metadata"]["namespace"] == service["metadata"]["namespace"]) {
    endpoint.set("hostname", hostname);
  }
  endpoint.set(
      "targetRef",
      json::Value::object(
          {{"kind", "Pod"}, {"namespace", pod.ns()}, {"name", pod.name()}, {"uid", pod.uid()}}));
  if (!pod.node.empty()) endpoint.set("nodeName", pod.node);
  if (node != nullptr) {
    const json::Value& zone = (*node)["metadata"]["labels"]["topology.kubernetes.io/zone"];
    if (zone.is_string()) endpoint.set("zone", zone);
  }
  return endpoint;
}

json::Value slice_ports(const json::Value& service, const api::PodView& pod) {
  json::Value ports = json::Value::array();
  for (const json::Value& p : service["spec"]["ports"].elements()) {
    const json::Value& target = p["targetPort"];
    std::string protocol(p["protocol"].as_string("TCP"));
    int64_t number = target.as_int();
    if (target.is_string()) {
      number = api::named_port(pod.value, target.as_string(), protocol);
    } else if (number == 0) {
      number = p["port"].as_int();
    }
    if (number == 0) continue;
    json::Value port =
        json::Value::object({{"name", p["name"].text()}, {"protocol", protocol}, {"port", number}});
    if (p.has("appProtocol")) port.set("appProtocol", p["appProtocol"]);
    ports.push_back(std::move(port));
  }
  return ports;
}

void for_services_of(const Cache& cache, const ObjectRef& previous, const ObjectRef& object,
                     const std::function<void(const NamespacedName&)>& visit) {
  const std::string& ns = (object ? object : previous)->name.ns;
  std::vector<NamespacedName> found;
  cache.for_each(kServices.key(), ns, [&](const ObjectRef& service) {
    json::Value value = api::decode(*service);
    const json::Value& selector = value["spec"]["selector"];
    if (selector.empty()) return true;
    auto match = api::LabelMatch::of_map(selector);
    if ((object && match.matches(*object)) || (previous && match.matches(*previous))) {
      found.push_back(service->name);
    }
    return true;
  });
  for (const NamespacedName& name : found) visit(name);
}

EndpointSliceController::EndpointSliceController(const ControllerContext& context)
    : Controller(context, "endpoint-slice-controller") {}

std::vector<GroupResource> EndpointSliceController::watches() const {
  return {kServices.key(), kPods.key(), kEndpointSlices.key(), kNodes.key()};
}

void EndpointSliceController::on_change(const GroupResource& resource, const ObjectRef& previous,
                                        const ObjectRef& object) {
  const ObjectRef& any = object ? object : previous;
  if (resource.resource == kServices.plural) return enqueue(any->name);
  if (resource.resource == kPods.plural) {
    return for_services_of(context_.cache, previous, object,
                           [this](const NamespacedName& name) { enqueue(name); });
  }
  if (resource.resource == kNodes.plural) return;  // zones are read when pods change
  const std::string* manager = any->label(kManagedLabel);
  const std::string* service = any->label(kServiceLabel);
  if (service != nullptr && manager != nullptr && *manager == kManager) {
    enqueue({any->name.ns, *service});
  }
}

// The endpoints of one family and one set of ports, and the slices that are for them.
struct EndpointSliceController::Group {
  std::string family;
  json::Value ports;
  std::map<std::string, json::Value> wanted;  // by pod uid
  std::vector<json::Value> slices;
};

namespace {

std::string group_key(std::string_view family, const json::Value& ports) {
  std::vector<std::string> texts;
  for (const json::Value& p : ports.elements()) texts.push_back(api::sorted_text(p));
  std::sort(texts.begin(), texts.end());
  std::string key(family);
  for (const std::string& t : texts) key += "|" + t;
  return key;
}

json::Value slice_labels(const json::Value& service) {
  json::Value labels = json::Value::object();
  for (auto [key, value] : service["metadata"]["labels"].members()) {
    if (key != kServiceLabel && key != kManagedLabel) labels.set(key, value);
  }
  if (service["spec"]["clusterIP"].as_string() == "None") labels.set(kHeadlessLabel, "");
  labels.set(kServiceLabel, service["metadata"]["name"]);
  labels.set(kManagedLabel, kManager);
  return labels;
}

}  // namespace

void EndpointSliceController::reconcile(const NamespacedName& key, const PassRef& pass) {
  ObjectRef object = context_.get(kServices, key);
  std::vector<ObjectRef> mine;
  context_.cache.for_each(kEndpointSlices.key(), key.ns, [&](const ObjectRef& slice) {
    const std::string* service = slice->label(kServiceLabel);
    const std::string* manager = slice->label(kManagedLabel);
    if (service != nullptr && *service == key.name && manager != nullptr && *manager == kManager &&
        !slice->deleting) {
      mine.push_back(slice);
    }
    return true;
  });
  json::Value service;
  bool selects = false;
  if (object != nullptr && !object->deleting) {
    service = api::decode(*object);
    selects = !service["spec"]["selector"].empty() &&
              service["spec"]["type"].as_string() != "ExternalName";
  }
  if (!selects) {
    // Without a selector slices are somebody else's; those of a service that is gone go with it.
    if (object == nullptr) {
      for (const ObjectRef& s : mine) {
        pass->remove(delete_request(kEndpointSlices, s->name, s->uid));
      }
    }
    return;
  }
  std::map<std::string, Group> groups;
  auto match = api::LabelMatch::of_map(service["spec"]["selector"]);
  std::vector<std::string> families = families_of(service);
  std::map<std::string, json::Value> nodes;
  context_.cache.for_each(kPods.key(), key.ns, [&](const ObjectRef& ref) {
    if (!match.matches(*ref)) return true;
    api::PodView pod(ref);
    if (!pod_has_endpoint(pod)) return true;
    if (!pod.node.empty() && nodes.count(pod.node) == 0) {
      ObjectRef node = context_.get(kNodes, {"", pod.node});
      nodes[pod.node] = node ? api::decode(*node) : json::Value();
    }
    json::Value ports = slice_ports(service, pod);
    for (const std::string& family : families) {
      const json::Value* node = pod.node.empty() ? nullptr : &nodes[pod.node];
      json::Value endpoint = slice_endpoint(service, pod, family, node);
      if (endpoint.is_null()) continue;
      Group& group = groups[group_key(family, ports)];
      group.family = family;
      group.ports = ports;
      group.wanted.emplace(pod.uid(), std::move(endpoint));
    }
    return true;
  });
  std::vector<ObjectRef> surplus;
  for (const ObjectRef& s : mine) {
    json::Value slice = api::decode(*s);
    auto it = groups.find(group_key(slice["addressType"].as_string(), slice["ports"]));
    if (it == groups.end()) {
      surplus.push_back(s);
    } else {
      it->second.slices.push_back(std::move(slice));
    }
  }
  // A service always has a slice a family, if only an empty one.
  for (const std::string& family : families) {
    bool has = std::any_of(groups.begin(), groups.end(),
                           [&](const auto& g) { return g.second.family == family; });
    if (has) continue;
    Group group{family, json::Value::array(), {}, {}};
    for (size_t i = 0; i < surplus.size(); ++i) {
      json::Value slice = api::decode(*surplus[i]);
      if (slice["addressType"].as_string() != family) continue;
      group.slices.push_back(std::move(slice));
      surplus.erase(surplus.begin() + static_cast<int64_t>(i));
      break;
    }
    groups[family] = std::move(group);
  }
  for (auto& [name, group] : groups) sync_group(pass, service, group);
  for (const ObjectRef& s : surplus) {
    pass->remove(delete_request(kEndpointSlices, s->name, s->uid));
  }
}

void EndpointSliceController::sync_group(const PassRef& pass, const json::Value& service,
                                         Group& group) {
  json::Value labels = slice_labels(service);
  std::map<std::string, json::Value> left = group.wanted;
  struct Draft {
    json::Value value;
    json::Value endpoints = json::Value::array();
  };
  std::vector<Draft> drafts;
  for (json::Value& slice : group.slices) {
    Draft draft{std::move(slice)};
    for (const json::Value& e : draft.value["endpoints"].elements()) {
      auto it = left.find(e["targetRef"]["uid"].text());
      if (it == left.end()) continue;
      draft.endpoints.push_back(std::move(it->second));
      left.erase(it);
    }
    drafts.push_back(std::move(draft));
  }
  // What is new fills slices that have room, the fullest first; then new ones are made.
  std::stable_sort(drafts.begin(), drafts.end(), [](const Draft& a, const Draft& b) {
    return a.endpoints.size() > b.endpoints.size();
  });
  size_t at = 0;
  for (auto& [uid, endpoint] : left) {
    while (at < drafts.size() && drafts[at].endpoints.size() >= kMaxEndpoints) ++at;
    if (at == drafts.size()) drafts.emplace_back();
    drafts[at].endpoints.push_back(std::move(endpoint));
  }
  if (drafts.empty()) drafts.emplace_back();
  bool keep_empty = group.wanted.empty();
  for (Draft& draft : drafts) {
    if (draft.value.is_null()) {
      json::Value meta = json::Value::object(
          {{"generateName", service["metadata"]["name"].text() + "-"},
           {"namespace", pass->key().ns},
           {"labels", labels},
           {"ownerReferences", json::Value::array({api::controller_reference(service)})}});
      json::Value slice = json::Value::object({{"apiVersion", "discovery.k8s.io/v1"},
                                               {"kind", "EndpointSlice"},
                                               {"metadata", std::move(meta)},
                                               {"addressType", group.family},
                                               {"endpoints", draft.endpoints},
                                               {"ports", group.ports}});
      pass->write(create_request(kEndpointSlices, pass->key().ns, std::move(slice)),
                  [pass](Result<ObjectRef> answer) {
                    if (!answer.ok() && answer.error().code != Code::kForbidden) {
                      pass->fail(answer.error());
                    }
                  });
      continue;
    }
    if (draft.endpoints.empty() && !keep_empty) {
      const json::Value& meta = draft.value["metadata"];
      pass->remove(delete_request(kEndpointSlices, {pass->key().ns, meta["name"].text()},
                                  meta["uid"].text()));
      continue;
    }
    keep_empty = false;
    json::Value changed = draft.value;
    if (!(draft.value["endpoints"] == draft.endpoints) &&
        !(draft.endpoints.empty() && draft.value["endpoints"].empty())) {
      changed.set("endpoints", draft.endpoints);
    }
    if (group_key("", draft.value["ports"]) != group_key("", group.ports)) {
      changed.set("ports", group.ports);
    }
    if (!(draft.value["metadata"]["labels"] == labels)) {
      changed.member("metadata").set("labels", labels);
    }
    if (changed == draft.value) continue;
    if (json::Value* notes = changed.member("metadata").find("annotations")) {
      notes->erase(kTriggerTime);
    }
    pass->write(update_request(kEndpointSlices, changed));
  }
}

}  // namespace knarr::server
