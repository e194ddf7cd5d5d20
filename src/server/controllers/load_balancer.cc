#include "server/controllers/load_balancer.h"

#include <algorithm>

#include "api/ip_list.h"
#include "api/view/meta.h"
#include "base/format.h"

namespace knarr::server {

namespace {

constexpr const char* kSliceService = "kubernetes.io/service-name";
constexpr const char* kEnableLabel = "svccontroller.knarr.io/enablelb";
constexpr const char* kExcludeLabel = "node.kubernetes.io/exclude-from-external-load-balancers";

bool is_balancer_type(const json::Value& service) {
  return service["spec"]["type"].as_string() == "LoadBalancer";
}

std::string addresses_of(const json::Value& ingress) {
  std::string out;
  for (const json::Value& entry : ingress.elements()) {
    out += (out.empty() ? "" : ", ") + entry["ip"].text();
  }
  return out;
}

}  // namespace

BalancerNode balancer_node(const json::Value& node) {
  BalancerNode out;
  const json::Value& labels = node["metadata"]["labels"];
  out.enabled = labels[kEnableLabel].as_string() == "true";
  out.usable = api::condition_is(node["status"]["conditions"], "Ready", "True") &&
               !labels.has(kExcludeLabel) && node["metadata"]["deletionTimestamp"].is_null();
  for (const char* type : {"ExternalIP", "InternalIP"}) {
    for (const json::Value& address : node["status"]["addresses"].elements()) {
      if (address["type"].as_string() != type) continue;
      std::string ip = address["address"].text();
      (api::is_v6(ip) ? out.v6 : out.v4).push_back(std::move(ip));
    }
  }
  return out;
}

std::vector<std::string> balanced_ports(const json::Value& service) {
  std::vector<std::string> out;
  for (const json::Value& port : service["spec"]["ports"].elements()) {
    out.push_back(fmt::format("{}/{}", port["protocol"].as_string("TCP"), port["port"].as_int()));
  }
  std::sort(out.begin(), out.end());
  return out;
}

bool wants_balancer(const json::Value& service) {
  return is_balancer_type(service) && service["spec"]["loadBalancerClass"].is_null() &&
         service["metadata"]["deletionTimestamp"].is_null();
}

json::Value balancer_ingress(const json::Value& service,
                             const std::map<std::string, BalancerNode>& nodes,
                             const std::set<std::string>& local) {
  bool chosen = std::any_of(nodes.begin(), nodes.end(),
                            [](const auto& entry) { return entry.second.enabled; });
  bool keep_local = service["spec"]["externalTrafficPolicy"].as_string() == "Local";
  std::vector<std::string> families;
  for (const json::Value& f : service["spec"]["ipFamilies"].elements()) {
    families.push_back(f.text());
  }
  if (families.empty()) families = {"IPv4"};
  json::Value ingress = json::Value::array();
  std::set<std::string> given;
  for (const auto& [name, node] : nodes) {
    if (!node.usable || (chosen && !node.enabled)) continue;
    if (keep_local && local.count(name) == 0) continue;
    for (const std::string& family : families) {
      const auto& addresses = family == "IPv6" ? node.v6 : node.v4;
      if (addresses.empty() || !given.insert(addresses[0]).second) continue;
      ingress.push_back(json::Value::object({{"ip", addresses[0]}, {"ipMode", "VIP"}}));
    }
  }
  return ingress;
}

LoadBalancerController::LoadBalancerController(const ControllerContext& context,
                                               const std::vector<int64_t>& taken_tcp,
                                               const std::vector<int64_t>& taken_udp)
    : Controller(context, "service-lb-controller") {
  for (int64_t port : taken_tcp) taken_.insert(fmt::format("TCP/{}", port));
  for (int64_t port : taken_udp) taken_.insert(fmt::format("UDP/{}", port));
}

std::vector<GroupResource> LoadBalancerController::watches() const {
  return {kServices.key(), kNodes.key(), kEndpointSlices.key()};
}

void LoadBalancerController::on_change(const GroupResource& resource, const ObjectRef& previous,
                                       const ObjectRef& object) {
  if (resource.resource == kServices.plural) return service_changed(previous, object);
  if (resource.resource == kNodes.plural) return node_changed(previous, object);
  const ObjectRef& slice = object ? object : previous;
  const std::string* service = slice->label(kSliceService);
  if (service == nullptr) return;
  NamespacedName name{slice->name.ns, *service};
  if (services_.count(name) > 0) enqueue(name);
}

// Those that ask for the same ports hear of it: theirs may be free now.
void LoadBalancerController::service_changed(const ObjectRef& previous, const ObjectRef& object) {
  const ObjectRef& any = object ? object : previous;
  const NamespacedName& name = any->name;
  std::vector<std::string> ports;
  int64_t created = 0;
  bool concerned = services_.count(name) > 0;
  if (object != nullptr && object->json.find("\"LoadBalancer\"") != std::string::npos) {
    json::Value service = api::decode(*object);
    concerned = true;
    created = api::creation_time(service);
    if (wants_balancer(service)) ports = balanced_ports(service);
  }
  // Of another type, but with addresses from before.
  if (object != nullptr && object->json.find("\"ingress\"") != std::string::npos) concerned = true;
  if (!concerned) return;
  enqueue(name);
  auto it = services_.find(name);
  if (it != services_.end()) {
    if (it->second == ports) return;
    for (const std::string& port : it->second) {
      std::erase_if(claims_[port], [&](const Claim& c) { return c.second == name; });
      for (const Claim& c : claims_[port]) enqueue(c.second);
      if (claims_[port].empty()) claims_.erase(port);
    }
    services_.erase(it);
  }
  if (ports.empty()) return;
  for (const std::string& port : ports) {
    for (const Claim& c : claims_[port]) enqueue(c.second);
    claims_[port].insert({created, name});
  }
  services_[name] = std::move(ports);
}

void LoadBalancerController::node_changed(const ObjectRef& previous, const ObjectRef& object) {
  const std::string& name = (object ? object : previous)->name.name;
  auto it = nodes_.find(name);
  if (object == nullptr) {
    if (it == nodes_.end()) return;
    nodes_.erase(it);
  } else {
    BalancerNode node = balancer_node(api::decode(*object));
    if (it != nodes_.end() && it->second == node) return;
    nodes_[name] = std::move(node);
  }
  for (const auto& [service, ports] : services_) enqueue(service);
}

// Why the service can't have its ports; empty when it can.
std::string LoadBalancerController::refusal(const NamespacedName& key,
                                            const std::vector<std::string>& ports) const {
  for (const std::string& port : ports) {
    if (taken_.count(port) > 0) return fmt::format("Port {} is used by the nodes themselves", port);
    auto claims = claims_.find(port);
    if (claims == claims_.end() || claims->second.empty()) continue;
    const NamespacedName& first = claims->second.begin()->second;
    if (first != key) return fmt::format("Port {} is used by service {}", port, first.text());
  }
  return {};
}

std::set<std::string> LoadBalancerController::local_nodes(const NamespacedName& service) const {
  std::set<std::string> nodes;
  context_.cache.for_each(kEndpointSlices.key(), service.ns, [&](const ObjectRef& slice) {
    const std::string* owner = slice->label(kSliceService);
    if (owner == nullptr || *owner != service.name) return true;
    json::Value decoded = api::decode(*slice);
    for (const json::Value& endpoint : decoded["endpoints"].elements()) {
      if (endpoint["conditions"]["ready"].as_bool(true)) nodes.insert(endpoint["nodeName"].text());
    }
    return true;
  });
  return nodes;
}

void LoadBalancerController::reconcile(const NamespacedName& key, const PassRef& pass) {
  ObjectRef object = context_.get(kServices, key);
  if (object == nullptr || object->deleting) {
    told_.erase(key);
    return;
  }
  json::Value service = api::decode(*object);
  // With a class it is another's, also what stands in the status.
  if (is_balancer_type(service) && !wants_balancer(service)) return;
  json::Value ingress = json::Value::array();
  std::string refused;
  if (wants_balancer(service)) {
    refused = refusal(key, balanced_ports(service));
    bool local = service["spec"]["externalTrafficPolicy"].as_string() == "Local";
    if (refused.empty()) {
      ingress =
          balancer_ingress(service, nodes_, local ? local_nodes(key) : std::set<std::string>());
    }
  }
  if (refused != told_[key] && !refused.empty()) event(service, true, "PortUnavailable", refused);
  told_[key] = refused;
  if (refused.empty()) told_.erase(key);
  const json::Value& present = service["status"]["loadBalancer"]["ingress"];
  if (addresses_of(present) == addresses_of(ingress)) return;
  if (ingress.size() > 0) {
    event(service, false, "UpdatedIngressIP",
          "LoadBalancer Ingress IP addresses updated: " + addresses_of(ingress));
  }
  json::Value changed = service;
  json::Value balancer = json::Value::object();
  if (ingress.size() > 0) balancer.set("ingress", std::move(ingress));
  changed.member("status").set("loadBalancer", std::move(balancer));
  pass->write(update_request(kServices, changed, "status"));
}

}  // namespace knarr::server
