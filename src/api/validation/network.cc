// Network policies and address blocks.
#include "api/validation/network.h"

#include "api/ip.h"
#include "api/validation/internal.h"
#include "base/format.h"

namespace knarr::api::rules {
namespace {

constexpr std::string_view kGroup = "networking.k8s.io";

void policy_ports(const Value& ports, const Path& path, ErrorList& errors) {
  size_t i = 0;
  for (const Value& port : ports.elements()) {
    Path at = path[i++];
    maybe_one_of(port["protocol"], {"TCP", "UDP", "SCTP"}, at / "protocol", errors);
    const Value& end = port["endPort"];
    if (port["port"].is_string()) {
      if (!end.is_null()) {
        errors.invalid(at / "endPort", end, "may not be specified when `port` is non-numeric");
      }
      port_number_or_name(port["port"], at / "port", errors);
    } else if (!port["port"].is_null()) {
      port_number_or_name(port["port"], at / "port", errors);
      if (end.is_null()) continue;
      if (end.as_int() < port["port"].as_int()) {
        errors.invalid(at / "endPort", port["port"], "must be greater than or equal to `port`");
      }
      errors.invalid_all(at / "endPort", end, check_port_number(end.as_int()));
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
    maybe_one_of(type, {"Ingress", "Egress"}, (path / "policyTypes")[i++], errors);
  }
}

void service_cidr(const Value& object, ErrorList& errors) {
  const Value& cidrs = object["spec"]["cidrs"];
  Path path = Path("spec") / "cidrs";
  if (cidrs.empty()) return errors.required(path, "at least one CIDR required");
  if (cidrs.size() > 2) {
    errors.invalid(path, internal_value(kGroup, "v1", "ServiceCIDRSpec", object["spec"]),
                   "may only hold up to 2 values");
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
  if (cidrs.size() < 2) return;
  auto a = Cidr::parse(cidrs[0].as_string());
  auto b = Cidr::parse(cidrs[1].as_string());
  if (a && b && a->address.v6 == b->address.v6) {
    errors.invalid(path, cidrs,
                   "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and "
                   "2001:db8::/64");
  }
}

// A second family may be added, the first stays.
void service_cidr_update(const Value& object, const Value& old, ErrorList& errors) {
  const Value& now = object["spec"]["cidrs"];
  const Value& before = old["spec"]["cidrs"];
  Path path = Path("spec") / "cidrs";
  bool grows = before.size() == 1 && now.size() == 2;
  if (now.size() != before.size() && !grows) {
    errors.invalid(path, now, kImmutable);
    return;
  }
  for (size_t i = 0; i < before.size(); i++) {
    if (!(now[i] == before[i])) errors.invalid(path[i], now[i], kImmutable);
  }
  if (grows) service_cidr(object, errors);
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
  if (!ref["group"].as_string().empty()) dns_subdomain(ref["group"], path / "group", errors);
  for (const char* member : {"resource", "name", "namespace"}) {
    std::string_view text = ref[member].as_string();
    if (!text.empty()) {
      errors.invalid_all(path / member, text, check_path_segment(text));
    } else if (std::string_view(member) != "namespace") {
      errors.required(path / member);
    }
  }
}

void ip_address_update(const Value& object, const Value& old, ErrorList& errors) {
  const Value& now = object["spec"]["parentRef"];
  if (now == old["spec"]["parentRef"]) return;
  errors.invalid(Path("spec") / "parentRef", internal_value(kGroup, "v1", "ParentReference", now),
                 kImmutable);
}

constexpr KindRules kRules[] = {
    {"", "Service", name_is_dns_label, service, service_update, service_status},
    {"", "Endpoints", name_is_dns_subdomain, endpoints, endpoints_update, nullptr},
    {"discovery.k8s.io", "EndpointSlice", name_is_dns_subdomain, endpoint_slice,
     endpoint_slice_update, nullptr, nullptr, kNoMetaUpdate},
    {kGroup, "Ingress", name_is_dns_subdomain, ingress, ingress_update, ingress_status},
    {kGroup, "IngressClass", name_is_dns_subdomain, ingress_class, ingress_class_update, nullptr,
     nullptr, kCreateLast},
    {kGroup, "NetworkPolicy", name_is_dns_subdomain, network_policy, nullptr, nullptr},
    {kGroup, "ServiceCIDR", name_is_dns_subdomain, service_cidr, service_cidr_update, nullptr},
    {kGroup, "IPAddress", name_is_address, ip_address_object, ip_address_update, nullptr, nullptr,
     kCreateFirst},
};

}  // namespace

std::span<const KindRules> network_rules() { return kRules; }

}  // namespace knarr::api::rules
