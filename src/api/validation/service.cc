// Services. What depends on the cluster (address ranges, families, free ports) is the allocator's.
#include <set>

#include "api/ip.h"
#include "api/validation/internal.h"
#include "api/validation/network.h"
#include "api/validation/validation.h"
#include "base/format.h"

namespace knarr::api::rules {
namespace {

void service_port(const Value& port, bool need_name, std::set<std::string_view>& names,
                  const Path& path, ErrorList& errors) {
  std::string_view name = port["name"].as_string();
  if (need_name && name.empty()) {
    errors.required(path / "name");
  } else if (!name.empty()) {
    dns_label(name, path / "name", errors);
    if (!names.insert(name).second) errors.duplicate(path / "name", name);
  }
  errors.invalid_all(path / "port", port["port"].as_int(),
                     check_port_number(port["port"].as_int()));
  one_of(port["protocol"], {"SCTP", "TCP", "UDP"}, path / "protocol", errors);
  port_number_or_name(port["targetPort"], path / "targetPort", errors);
  if (!port["appProtocol"].is_null()) {
    qualified_name(port["appProtocol"], path / "appProtocol", errors);
  }
}

// What of a port must be unique, as the API server's internal type prints it.
Value printed_port(const Value& port) {
  return internal_value("", "v1", "ServicePort",
                        Value::object({{"protocol", port["protocol"]}, {"port", port["port"]}}));
}

void session_affinity(const Value& spec, const Path& path, ErrorList& errors) {
  const Value& config = spec["sessionAffinityConfig"];
  one_of(spec["sessionAffinity"], {"ClientIP", "None"}, path / "sessionAffinity", errors);
  if (spec["sessionAffinity"].as_string() == "ClientIP") {
    Path at = path / "sessionAffinityConfig";
    const Value& timeout = config["clientIP"]["timeoutSeconds"];
    if (timeout.is_null()) {
      errors.required(at, "when session affinity type is ClientIP");
    } else if (timeout.as_int() <= 0 || timeout.as_int() > 86400) {
      errors.invalid(at / "clientIP" / "timeoutSeconds", timeout,
                     "must be greater than 0 and less than 86400");
    }
  } else if (!config.is_null()) {
    errors.forbidden(path / "sessionAffinityConfig",
                     "must not be set when session affinity is None");
  }
}

// clusterIP and clusterIPs must tell the same.
void address_forms(const Value& spec, const Path& path, ErrorList& errors) {
  const Value& ips = spec["clusterIPs"];
  std::string_view one = spec["clusterIP"].as_string();
  if (one.empty()) {
    if (ips.size() > 0) {
      errors.invalid(path / "clusterIPs", ips, "must be empty when `clusterIP` is not specified");
    }
  } else if (ips.size() == 0) {
    errors.required(path / "clusterIPs");
  } else if (ips[0].as_string() != one) {
    errors.invalid(path / "clusterIPs", ips, "first value must match `clusterIP`");
  }
}

void address_families(const Value& spec, const Path& path, ErrorList& errors) {
  std::set<std::string_view> seen;
  size_t i = 0;
  for (const Value& family : spec["ipFamilies"].elements()) {
    Path at = (path / "ipFamilies")[i++];
    maybe_one_of(family, {"IPv4", "IPv6"}, at, errors);
    if (!seen.insert(family.as_string()).second) errors.duplicate(at, family);
  }
  if (!spec["ipFamilyPolicy"].is_null()) {
    maybe_one_of(spec["ipFamilyPolicy"], {"PreferDualStack", "RequireDualStack", "SingleStack"},
                 path / "ipFamilyPolicy", errors);
  }
}

void load_balancer(const Value& spec, const Path& path, ErrorList& errors) {
  constexpr std::string_view kOnly = "may only be used when `type` is 'LoadBalancer'";
  bool balanced = spec["type"].as_string() == "LoadBalancer";
  if (!spec["loadBalancerSourceRanges"].empty()) {
    Path at = path / "LoadBalancerSourceRanges";
    if (!balanced) errors.forbidden(at, kOnly);
    size_t i = 0;
    for (const Value& range : spec["loadBalancerSourceRanges"].elements()) {
      std::string_view text = range.as_string();
      while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
      while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
      cidr(text, at[i++], errors);
    }
  }
  const Value& allocate = spec["allocateLoadBalancerNodePorts"];
  if (!balanced && !allocate.is_null()) {
    errors.forbidden(path / "allocateLoadBalancerNodePorts", kOnly);
  }
  const Value& cls = spec["loadBalancerClass"];
  if (!cls.is_null()) {
    if (!balanced) {
      errors.forbidden(path / "loadBalancerClass", kOnly);
    } else {
      qualified_name(cls, path / "loadBalancerClass", errors);
    }
  }
}

void traffic_policies(const Value& spec, const Path& path, ErrorList& errors) {
  std::string_view type = spec["type"].as_string();
  const Value& external = spec["externalTrafficPolicy"];
  bool exposed = type == "LoadBalancer" || type == "NodePort" ||
                 (type == "ClusterIP" && !spec["externalIPs"].empty());
  if (exposed) {
    one_of(external, {"Cluster", "Local"}, path / "externalTrafficPolicy", errors);
  } else if (!external.as_string().empty()) {
    errors.invalid(path / "externalTrafficPolicy", external,
                   "may only be set for externally-accessible services");
  }
  const Value& check = spec["healthCheckNodePort"];
  bool local = type == "LoadBalancer" && external.as_string() == "Local";
  if (check.as_int() != 0 && !local) {
    errors.invalid(path / "healthCheckNodePort", check,
                   "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is "
                   "'Local'");
  }
  if (type != "ExternalName") {
    maybe_one_of(spec["internalTrafficPolicy"], {"Cluster", "Local"},
                 path / "internalTrafficPolicy", errors);
  }
  maybe_one_of(spec["trafficDistribution"], {"PreferClose", "PreferSameZone", "PreferSameNode"},
               path / "trafficDistribution", errors);
}

void type_and_address(const Value& spec, const Path& path, ErrorList& errors) {
  std::string_view type = spec["type"].as_string();
  const Value& ips = spec["clusterIPs"];
  bool headless = ips.size() == 1 && ips[0].as_string() == "None";
  if (spec["ports"].empty() && !headless && type != "ExternalName") errors.required(path / "ports");
  if (type == "LoadBalancer" || type == "NodePort") {
    if (headless) {
      errors.invalid((path / "clusterIPs")[0], ips[0],
                     fmt::format("may not be set to 'None' for {} services", type));
    }
  } else if (type == "ExternalName") {
    if (!ips.empty()) {
      errors.forbidden(path / "clusterIPs", "may not be set for ExternalName services");
    }
    std::string_view name = spec["externalName"].as_string();
    if (!name.empty() && name.back() == '.') name.remove_suffix(1);
    if (name.empty()) {
      errors.required(path / "externalName");
    } else {
      dns_subdomain(name, path / "externalName", errors);
    }
  }
}

void service_addresses(const Value& spec, const Path& path, ErrorList& errors) {
  address_forms(spec, path, errors);
  address_families(spec, path, errors);
  const Value& ips = spec["clusterIPs"];
  const Value& families = spec["ipFamilies"];
  bool headless = ips[0].as_string() == "None";
  bool bad = false;
  size_t count[2] = {0, 0};  // of each family
  for (size_t i = 0; i < ips.size(); i++) {
    if (i == 0 && headless) {
      if (ips.size() == 1) continue;
      errors.invalid(path / "clusterIPs", ips, "'None' must be the first and only value");
      bad = true;
      continue;
    }
    auto ip = IpAddress::parse(ips[i].as_string());
    if (!ip) errors.invalid((path / "clusterIPs")[i], ips[i], kBadIp);
    bad = bad || !ip;
    if (ip) count[ip->v6 ? 1 : 0]++;
  }
  if (ips.size() > 2) {
    errors.invalid(path / "clusterIPs", ips, "may only hold up to 2 values");
  }
  if (bad) return;
  if (ips.size() > 1 && (count[0] == 0 || count[1] == 0)) {
    errors.invalid(path / "clusterIPs", ips, "may specify no more than one IP for each IP family");
  }
  if (headless) return;
  for (size_t i = 0; i < ips.size() && i < families.size(); i++) {
    std::string_view have = IpAddress::parse(ips[i].as_string())->v6 ? "IPv6" : "IPv4";
    std::string_view wanted = families[i].as_string();
    if (wanted == have || (wanted != "IPv4" && wanted != "IPv6")) continue;
    errors.invalid((path / "clusterIPs")[i], ips[i],
                   fmt::format("expected an {} value as indicated by `ipFamilies[{}]`", wanted, i));
  }
}

}  // namespace

void service(const Value& object, ErrorList& errors) {
  const Value& spec = object["spec"];
  const Value& ports = spec["ports"];
  Path path("spec");
  type_and_address(spec, path, errors);
  std::set<std::string_view> names;
  size_t i = 0;
  for (const Value& port : ports.elements()) {
    service_port(port, ports.size() > 1, names, (path / "ports")[i++], errors);
  }
  if (!spec["selector"].is_null()) validate_labels(spec["selector"], path / "selector", errors);
  session_affinity(spec, path, errors);
  if (spec["type"].as_string() != "ExternalName") service_addresses(spec, path, errors);
  i = 0;
  for (const Value& ip : spec["externalIPs"].elements()) {
    Path at = (path / "externalIPs")[i++];
    ip_address(ip, at, errors);
    if (IpAddress::parse(ip.as_string())) non_special_ip(ip.as_string(), at, errors);
  }
  one_of(spec["type"], {"ClusterIP", "ExternalName", "LoadBalancer", "NodePort"}, path / "type",
         errors);
  std::set<std::pair<std::string_view, int64_t>> used;
  i = 0;
  for (const Value& port : ports.elements()) {
    Path at = (path / "ports")[i++];
    if (spec["type"].as_string() == "ClusterIP" && port["nodePort"].as_int() != 0) {
      errors.forbidden(at / "nodePort", "may not be used when `type` is 'ClusterIP'");
    }
    if (!used.insert({port["protocol"].as_string(), port["port"].as_int()}).second) {
      errors.duplicate(at, printed_port(port));
    }
  }
  load_balancer(spec, path, errors);
  traffic_policies(spec, path, errors);
}

void service_update(const Value& object, const Value& old, ErrorList& errors) {
  const Value& spec = object["spec"];
  const Value& before = old["spec"];
  Path path("spec");
  std::string_view type = spec["type"].as_string();
  bool addressed = type != "ExternalName" && before["type"].as_string() != "ExternalName";
  if (addressed && !before["clusterIPs"].empty()) {
    for (size_t i = 0; i < before["clusterIPs"].size() && i < spec["clusterIPs"].size(); i++) {
      if (spec["clusterIPs"][i] == before["clusterIPs"][i]) continue;
      errors.invalid((path / "clusterIPs")[i], spec["clusterIPs"], "may not change once set");
    }
  }
  bool both = type == "LoadBalancer" && before["type"].as_string() == "LoadBalancer";
  if (both && !same(spec["loadBalancerClass"], before["loadBalancerClass"])) {
    errors.invalid(path / "loadBalancerClass", spec["loadBalancerClass"],
                   "may not change once set");
  }
  service(object, errors);
}

void service_status(const Value& object, const Value&, ErrorList& errors) {
  const Value& ingress = object["status"]["loadBalancer"]["ingress"];
  Path path = Path("status") / "loadBalancer" / "ingress";
  if (!ingress.empty() && object["spec"]["type"].as_string() != "LoadBalancer") {
    errors.forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'");
  }
  load_balancer_ingress(ingress, path, errors);
}

void load_balancer_ingress(const Value& ingress, const Path& path, ErrorList& errors) {
  size_t i = 0;
  for (const Value& one : ingress.elements()) {
    Path at = path[i++];
    std::string_view ip = one["ip"].as_string();
    if (!ip.empty()) ip_address(ip, at / "ip", errors);
    const Value& mode = one["ipMode"];
    if (ip.empty() && !mode.is_null()) {
      errors.forbidden(at / "ipMode", "may not be specified when `ip` is not set");
    } else {
      maybe_one_of(mode, {"Proxy", "VIP"}, at / "ipMode", errors);
    }
    std::string_view host = one["hostname"].as_string();
    if (host.empty()) continue;
    dns_subdomain(host, at / "hostname", errors);
    if (IpAddress::parse(host)) {
      errors.invalid(at / "hostname", host, "must be a DNS name, not an IP address");
    }
  }
}

}  // namespace knarr::api::rules

namespace knarr::api {

ErrorList validate_service_addresses(const json::Value& spec) {
  ErrorList errors;
  rules::service_addresses(spec, Path("spec"), errors);
  return errors;
}

}  // namespace knarr::api
