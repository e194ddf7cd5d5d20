// Endpoints, slices, ingresses, network policies, address blocks.
#include "api/validation/network.h"

#include <set>

#include "api/ip.h"
#include "base/format.h"

namespace knarr::api::rules {
namespace {

void endpoint_address(const Value& address, const Path& path, ErrorList& errors) {
  ip_address(address["ip"], path / "ip", errors);
  if (!address["hostname"].as_string().empty())
    dns_label(address["hostname"], path / "hostname", errors);
  if (!address["nodeName"].is_null()) dns_subdomain(address["nodeName"], path / "nodeName", errors);
  non_special_ip(address["ip"].as_string(), path / "ip", errors);
}

void endpoint_ports(const Value& ports, const Path& path, ErrorList& errors) {
  size_t i = 0;
  for (const Value& port : ports.elements()) {
    Path at = path[i++];
    if (ports.size() > 1 && port["name"].as_string().empty()) {
      errors.required(at / "name");
    } else if (!port["name"].as_string().empty()) {
      dns_label(port["name"], at / "name", errors);
    }
    errors.invalid_all(at / "port", port["port"].as_int(),
                       check_port_number(port["port"].as_int()));
    one_of(port["protocol"], {"SCTP", "TCP", "UDP"}, at / "protocol", errors);
    if (!port["appProtocol"].is_null())
      qualified_name(port["appProtocol"], at / "appProtocol", errors);
  }
}

void endpoints(const Value& object, ErrorList& errors) {
  size_t i = 0;
  for (const Value& subset : object["subsets"].elements()) {
    Path at = Path("subsets")[i++];
    if (subset["addresses"].empty() && subset["notReadyAddresses"].empty()) {
      errors.required(at, "must specify `addresses` or `notReadyAddresses`");
    }
    for (const char* member : {"addresses", "notReadyAddresses"}) {
      size_t j = 0;
      for (const Value& address : subset[member].elements()) {
        endpoint_address(address, (at / member)[j++], errors);
      }
    }
    endpoint_ports(subset["ports"], at / "ports", errors);
  }
}

void slice_addresses(const Value& addresses, std::string_view type, const Path& path,
                     ErrorList& errors) {
  if (addresses.empty()) errors.required(path, "must contain at least 1 address");
  if (addresses.size() > 100) errors.too_many(path, static_cast<int64_t>(addresses.size()), 100);
  size_t i = 0;
  for (const Value& address : addresses.elements()) {
    Path at = path[i++];
    if (type == "FQDN") {
      dns_subdomain(address, at, errors);
      continue;
    }
    if (type != "IPv4" && type != "IPv6") continue;
    auto ip = IpAddress::parse(address.as_string());
    if (!ip) {
      errors.invalid(at, address, kBadIp);
    } else if (ip->v6 != (type == "IPv6")) {
      errors.invalid(path, address,
                     type == "IPv6" ? "must be an IPv6 address" : "must be an IPv4 address");
    }
    if (ip) non_special_ip(address.as_string(), at, errors);
  }
}

void slice_ports(const Value& ports, const Path& path, ErrorList& errors) {
  if (ports.size() > 20000) errors.too_many(path, static_cast<int64_t>(ports.size()), 20000);
  std::set<std::string_view> names;
  size_t i = 0;
  for (const Value& port : ports.elements()) {
    Path at = path[i++];
    std::string_view name = port["name"].as_string();
    if (!name.empty()) dns_label(name, at / "name", errors);
    if (!names.insert(name).second) errors.duplicate(at / "name", name);
    if (port["protocol"].is_null()) {
      errors.required(at / "protocol");
    } else {
      maybe_one_of(port["protocol"], {"SCTP", "TCP", "UDP"}, at / "protocol", errors);
    }
    if (!port["appProtocol"].is_null())
      qualified_name(port["appProtocol"], at / "appProtocol", errors);
  }
}

void endpoint_slice(const Value& object, ErrorList& errors) {
  std::string_view type = object["addressType"].as_string();
  one_of(object["addressType"], {"FQDN", "IPv4", "IPv6"}, Path("addressType"), errors);
  const Value& list = object["endpoints"];
  if (list.size() > 1000)
    errors.too_many(Path("endpoints"), static_cast<int64_t>(list.size()), 1000);
  size_t i = 0;
  for (const Value& endpoint : list.elements()) {
    Path at = Path("endpoints")[i++];
    slice_addresses(endpoint["addresses"], type, at / "addresses", errors);
    if (!endpoint["hostname"].is_null()) dns_label(endpoint["hostname"], at / "hostname", errors);
    if (!endpoint["nodeName"].is_null())
      dns_subdomain(endpoint["nodeName"], at / "nodeName", errors);
  }
  slice_ports(object["ports"], Path("ports"), errors);
}

void endpoint_slice_update(const Value& object, const Value& old, ErrorList& errors) {
  endpoint_slice(object, errors);
  immutable(object["addressType"], old["addressType"], Path("addressType"), errors);
}

void backend(const Value& backend, const Path& path, ErrorList& errors) {
  bool service = !backend["service"].is_null();
  bool resource = !backend["resource"].is_null();
  if (service && resource) {
    errors.invalid(path, "", "cannot set both resource and service backends");
  } else if (resource) {
    for (const char* member : {"kind", "name"}) {
      if (backend["resource"][member].as_string().empty())
        errors.required(path / "resource" / member);
    }
  } else if (!service) {
    errors.invalid(path, "", "resource or service backend is required");
  } else {
    const Value& target = backend["service"];
    Path at = path / "service";
    if (target["name"].as_string().empty()) {
      errors.required(at / "name");
    } else {
      errors.invalid_all(at / "name", target["name"],
                         check_dns1123_label(target["name"].as_string()));
    }
    const Value& port = target["port"];
    bool named = !port["name"].as_string().empty();
    bool numbered = port["number"].as_int() != 0;
    if (named && numbered) {
      errors.invalid(at, "", "cannot set both port name & port number");
    } else if (named) {
      errors.invalid_all(at / "port" / "name", port["name"],
                         check_port_name(port["name"].as_string()));
    } else if (numbered) {
      errors.invalid_all(at / "port" / "number", port["number"],
                         check_port_number(port["number"].as_int()));
    } else {
      errors.required(at, "port name or number is required");
    }
  }
}

void http_path(const Value& rule, const Path& path, ErrorList& errors) {
  const Value& type = rule["pathType"];
  std::string_view text = rule["path"].as_string();
  if (type.is_null()) {
    errors.required(path / "pathType", "pathType must be specified");
    return;
  }
  bool known = contains({"Exact", "ImplementationSpecific", "Prefix"}, type.as_string());
  bool strict = type.as_string() == "Exact" || type.as_string() == "Prefix";
  if (!known) {
    errors.not_supported(path / "pathType", type, {"Exact", "ImplementationSpecific", "Prefix"});
  } else if (strict || !text.empty()) {
    if (text.empty() || text[0] != '/') {
      errors.invalid(path / "path", text, "must be an absolute path");
    }
    for (std::string_view part : {"//", "/./", "/../", "%2f", "%2F"}) {
      if (strict && text.find(part) != std::string_view::npos) {
        errors.invalid(path / "path", text, fmt::format("must not contain '{}'", part));
      }
    }
    for (std::string_view end : {"/..", "/."}) {
      bool ends = text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
      if (strict && ends) {
        errors.invalid(path / "path", text, fmt::format("cannot end with '{}'", end));
      }
    }
  }
  backend(rule["backend"], path / "backend", errors);
}

void ingress_host(std::string_view host, const Path& path, ErrorList& errors) {
  if (host.empty()) return;
  if (IpAddress::parse(host)) {
    errors.invalid(path, host, "must be a DNS name, not an IP address");
  } else if (host.find('*') != std::string_view::npos) {
    errors.invalid_all(path, host, check_wildcard_dns1123_subdomain(host));
  } else {
    dns_subdomain(host, path, errors);
  }
}

void ingress(const Value& object, ErrorList& errors) {
  const Value& spec = object["spec"];
  Path path("spec");
  if (spec["rules"].empty() && spec["defaultBackend"].is_null()) {
    errors.invalid(path, spec["rules"].is_null() ? Value::array() : spec["rules"],
                   "either `defaultBackend` or `rules` must be specified");
  }
  if (!spec["defaultBackend"].is_null()) {
    backend(spec["defaultBackend"], path / "defaultBackend", errors);
  }
  size_t i = 0;
  for (const Value& rule : spec["rules"].elements()) {
    Path at = (path / "rules")[i++];
    ingress_host(rule["host"].as_string(), at / "host", errors);
    if (rule["http"].is_null()) continue;
    if (rule["http"]["paths"].empty()) errors.required(at / "http" / "paths");
    size_t j = 0;
    for (const Value& one : rule["http"]["paths"].elements()) {
      http_path(one, (at / "http" / "paths")[j++], errors);
    }
  }
  i = 0;
  for (const Value& tls : spec["tls"].elements()) {
    Path at = (path / "tls")[i++];
    size_t j = 0;
    for (const Value& host : tls["hosts"].elements()) {
      ingress_host(host.as_string(), (at / "hosts")[j++], errors);
    }
    if (!tls["secretName"].as_string().empty()) {
      dns_subdomain(tls["secretName"], at / "secretName", errors);
    }
  }
  if (!spec["ingressClassName"].is_null()) {
    dns_subdomain(spec["ingressClassName"], path / "ingressClassName", errors);
  }
}

void ingress_status(const Value& object, const Value&, ErrorList& errors) {
  load_balancer_ingress(object["status"]["loadBalancer"]["ingress"],
                        Path("status") / "loadBalancer" / "ingress", errors);
}

void ingress_class(const Value& object, ErrorList& errors) {
  const Value& spec = object["spec"];
  Path path("spec");
  if (spec["controller"].as_string().size() > 250) errors.too_long(path / "controller", 250);
  domain_prefixed_path(spec["controller"], path / "controller", errors);
  const Value& parameters = spec["parameters"];
  if (parameters.is_null()) return;
  Path at = path / "parameters";
  for (const char* member : {"kind", "name"}) {
    if (parameters[member].as_string().empty()) errors.required(at / member);
  }
  std::string_view scope = parameters["scope"].as_string();
  if (parameters["scope"].is_null()) {
    errors.required(at / "scope");
  } else if (scope != "Cluster" && scope != "Namespace") {
    errors.not_supported(at / "scope", scope, {"Cluster", "Namespace"});
  } else if (scope == "Namespace" && parameters["namespace"].is_null()) {
    errors.required(at / "namespace", "`parameters.scope` is set to 'Namespace'");
  } else if (scope == "Cluster" && !parameters["namespace"].is_null()) {
    errors.forbidden(at / "namespace", "`parameters.scope` is set to 'Cluster'");
  }
}

void ingress_class_update(const Value& object, const Value& old, ErrorList& errors) {
  immutable(object["spec"]["controller"], old["spec"]["controller"], Path("spec") / "controller",
            errors);
  ingress_class(object, errors);
}

void policy_ports(const Value& ports, const Path& path, ErrorList& errors) {
  size_t i = 0;
  for (const Value& port : ports.elements()) {
    Path at = path[i++];
    maybe_one_of(port["protocol"], {"SCTP", "TCP", "UDP"}, at / "protocol", errors);
    const Value& end = port["endPort"];
    if (!port["port"].is_null()) {
      port_number_or_name(port["port"], at / "port", errors);
      if (!end.is_null() && port["port"].is_string()) {
        errors.invalid(at / "endPort", end, "may not be specified when `port` is non-numeric");
      } else if (!end.is_null() && end.as_int() < port["port"].as_int()) {
        errors.invalid(at / "endPort", end, "must be greater than or equal to `port`");
      }
    } else if (!end.is_null()) {
      errors.invalid(at / "endPort", end, "may not be specified when `port` is not specified");
    }
  }
}

void policy_peers(const Value& peers, const Path& path, ErrorList& errors) {
  size_t i = 0;
  for (const Value& peer : peers.elements()) {
    Path at = path[i++];
    int count = 0;
    for (const char* member : {"podSelector", "namespaceSelector"}) {
      if (peer[member].is_null()) continue;
      count++;
      label_selector(peer[member], at / member, errors);
    }
    const Value& block = peer["ipBlock"];
    if (!block.is_null()) {
      if (block["cidr"].as_string().empty()) {
        errors.required(at / "ipBlock" / "cidr");
      } else {
        cidr(block["cidr"], at / "ipBlock" / "cidr", errors);
        auto outer = Cidr::parse(block["cidr"].as_string());
        size_t j = 0;
        for (const Value& except : block["except"].elements()) {
          Path where = (at / "ipBlock" / "except")[j++];
          cidr(except, where, errors);
          auto inner = Cidr::parse(except.as_string());
          if (outer && inner && (!outer->contains(*inner) || outer->prefix >= inner->prefix)) {
            errors.invalid(where, except, "must be a strict subset of `cidr`");
          }
        }
      }
    }
    if (count == 0 && block.is_null()) {
      errors.required(at, "must specify a peer");
    } else if (count > 0 && !block.is_null()) {
      errors.forbidden(at, "may not specify both ipBlock and another peer");
    }
  }
}

void network_policy(const Value& object, ErrorList& errors) {
  const Value& spec = object["spec"];
  Path path("spec");
  label_selector(spec["podSelector"], path / "podSelector", errors);
  size_t i = 0;
  for (const Value& rule : spec["ingress"].elements()) {
    Path at = (path / "ingress")[i++];
    policy_ports(rule["ports"], at / "ports", errors);
    policy_peers(rule["from"], at / "from", errors);
  }
  i = 0;
  for (const Value& rule : spec["egress"].elements()) {
    Path at = (path / "egress")[i++];
    policy_ports(rule["ports"], at / "ports", errors);
    policy_peers(rule["to"], at / "to", errors);
  }
  if (spec["policyTypes"].size() > 2) {
    errors.invalid(path / "policyTypes", spec["policyTypes"],
                   "may not specify more than two policyTypes");
    return;
  }
  i = 0;
  for (const Value& type : spec["policyTypes"].elements()) {
    maybe_one_of(type, {"Egress", "Ingress"}, (path / "policyTypes")[i++], errors);
  }
}

void service_cidr(const Value& object, ErrorList& errors) {
  const Value& cidrs = object["spec"]["cidrs"];
  Path path = Path("spec") / "cidrs";
  if (cidrs.empty()) return errors.required(path, "at least one CIDR required");
  if (cidrs.size() > 2) {
    errors.invalid(path, cidrs, "may only hold up to 2 values");
    return;
  }
  size_t i = 0;
  for (const Value& one : cidrs.elements()) {
    Path at = path[i++];
    auto parsed = Cidr::parse(one.as_string());
    if (!parsed) {
      errors.invalid(at, one, kBadCidr);
    } else if (!parsed->is_canonical_network()) {
      Cidr canonical{parsed->network(), parsed->prefix};
      errors.invalid(at, one,
                     fmt::format("must not have bits set beyond the prefix length (e.g. \"{}\")",
                                 canonical.text()));
    }
  }
}

void service_cidr_update(const Value& object, const Value& old, ErrorList& errors) {
  immutable(object["spec"]["cidrs"], old["spec"]["cidrs"], Path("spec") / "cidrs", errors);
}

Problems name_is_address(std::string_view name, bool) {
  auto ip = IpAddress::parse(name);
  if (!ip) return {std::string(kBadIp)};
  if (ip->text() != name) {
    return {fmt::format("must be in canonical form (\"{}\")", ip->text())};
  }
  return {};
}

void ip_address_object(const Value& object, ErrorList& errors) {
  const Value& ref = object["spec"]["parentRef"];
  Path path = Path("spec") / "parentRef";
  if (ref.is_null()) return errors.required(path);
  if (ref["resource"].as_string().empty()) errors.required(path / "resource");
  if (ref["name"].as_string().empty()) errors.required(path / "name");
}

void ip_address_update(const Value& object, const Value& old, ErrorList& errors) {
  ip_address_object(object, errors);
  immutable(object["spec"]["parentRef"], old["spec"]["parentRef"], Path("spec") / "parentRef",
            errors);
}

constexpr std::string_view kGroup = "networking.k8s.io";
constexpr KindRules kRules[] = {
    {"", "Service", name_is_dns_label, service, service_update, service_status},
    {"", "Endpoints", name_is_dns_subdomain, endpoints, nullptr, nullptr},
    {"discovery.k8s.io", "EndpointSlice", name_is_dns_subdomain, endpoint_slice,
     endpoint_slice_update, nullptr},
    {kGroup, "Ingress", name_is_dns_subdomain, ingress, nullptr, ingress_status},
    {kGroup, "IngressClass", name_is_dns_subdomain, ingress_class, ingress_class_update, nullptr},
    {kGroup, "NetworkPolicy", name_is_dns_subdomain, network_policy, nullptr, nullptr},
    {kGroup, "ServiceCIDR", name_is_dns_subdomain, service_cidr, service_cidr_update, nullptr},
    {kGroup, "IPAddress", name_is_address, ip_address_object, ip_address_update, nullptr},
};

}  // namespace

std::span<const KindRules> network_rules() { return kRules; }

}  // namespace knarr::api::rules
