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

std::map<NamespacedName, std::string> refused_balancers(
    const std::map<NamespacedName, BalancerClaim>& claims, const std::set<std::string>& taken) {
  std::set<std::pair<int64_t, NamespacedName>> oldest_first;
  for (const auto& [name, claim] : claims) oldest_first.insert({claim.created, name});
  std::map<std::string, NamespacedName> held;  // by port
  std::map<NamespacedName, std::string> refused;
  for (const auto& [created, name] : oldest_first) {
    const std::vector<std::string>& ports = claims.at(name).ports;
    std::string why;
    for (const std::string& port : ports) {
      auto holder = held.find(port);
      if (taken.count(port) > 0) {
        why = fmt::format("Port {} is used by the nodes themselves", port);
      } else if (holder != held.end()) {
        why = fmt::format("Port {} is used by service {}", port, holder->second.text());
      }
      if (!why.empty()) break;
    }
    if (why.empty()) {
      for (const std::string& port : ports) held[port] = name;
    } else {
      refused[name] = std::move(why);
    }
  }
  return refused;
}

void LoadBalancerController::service_changed(const ObjectRef& previous, const ObjectRef& object) {
  const ObjectRef& any = object ? object : previous;
  const NamespacedName& name = any->name;
  BalancerClaim claim;
  bool concerned = services_.count(name) > 0;
  if (object != nullptr && object->json.find("\"LoadBalancer\"") != std::string::npos) {
    json::Value service = api::decode(*object);
    concerned = true;
    claim.created = api::creation_time(service);
    if (wants_balancer(service)) claim.ports = balanced_ports(service);
  }
  // Of another type, but with addresses from before.
  if (object != nullptr && object->json.find("\"ingress\"") != std::string::npos) concerned = true;
  if (!concerned) return;
  enqueue(name);
  auto it = services_.find(name);
  bool before = it != services_.end();
  if (claim.ports.empty() ? !before : before && it->second == claim) return;
  if (claim.ports.empty()) {
    services_.erase(it);
  } else {
    services_[name] = std::move(claim);
  }
  judge();
}

// Those for which the answer is another now hear of it.
void LoadBalancerController::judge() {
  std::map<NamespacedName, std::string> now = refused_balancers(services_, taken_);
  for (const auto& [name, claim] : services_) {
    auto had = refused_.find(name);
    auto has = now.find(name);
    bool same = (had == refused_.end()) == (has == now.end()) &&
                (has == now.end() || had->second == has->second);
    if (!same) enqueue(name);
  }
  refused_ = std::move(now);
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
  for (const auto& [service, claim] : services_) enqueue(service);
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
    if (auto it = refused_.find(key); it != refused_.end()) refused = it->second;
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
