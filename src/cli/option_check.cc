#include "cli/option_check.h"

#include <net/if.h>

#include <cstdlib>

#include "agent/network/overlay_plan.h"
#include "api/ip.h"
#include "api/ip_list.h"
#include "api/names.h"
#include "api/node_labels.h"
#include "base/format.h"

namespace knarr::cli {

namespace {

constexpr int kMostServiceBits[] = {30, 125};  // IPv4, IPv6
constexpr int kMostNodeBits[] = {30, 126};

Error bad(std::string_view flag, std::string_view value, std::string_view what) {
  return make_error(Code::kBadRequest, fmt::format("--{}: {}: {}", flag, value, what));
}

// One of each family at the most. `most_bits` of IPv4 and of IPv6.
Result<std::vector<api::Cidr>> networks(std::string_view flag, const std::string& value,
                                        const int (&most_bits)[2]) {
  std::vector<api::Cidr> out;
  std::vector<std::string> parts = api::split_list(value);
  if (parts.empty()) return bad(flag, value, "not a CIDR, as in 10.0.0.0/16");
  for (const std::string& part : parts) {
    auto cidr = api::Cidr::parse(part);
    if (!cidr) return bad(flag, part, "not a CIDR, as in 10.0.0.0/16");
    if (!cidr->is_canonical_network()) {
      return bad(flag, part,
                 "has bits beyond its prefix; the network is " + cidr->network().text());
    }
    int most = most_bits[cidr->address.v6 ? 1 : 0];
    if (cidr->prefix > most) return bad(flag, part, fmt::format("too small: at most /{} is", most));
    for (const api::Cidr& other : out) {
      if (other.address.v6 == cidr->address.v6) {
        return bad(flag, value, "a range, or one of each IP family");
      }
    }
    out.push_back(*cidr);
  }
  return out;
}

bool has_family(const std::vector<api::Cidr>& ranges, bool v6) {
  for (const api::Cidr& range : ranges) {
    if (range.address.v6 == v6) return true;
  }
  return false;
}

Result<api::IpAddress> address(std::string_view flag, const std::string& value) {
  auto ip = api::IpAddress::parse(value);
  if (!ip) return bad(flag, value, "not an IP address");
  return *ip;
}

Result<void> check_addresses(std::string_view flag, const std::string& value) {
  std::vector<std::string> parts = api::split_list(value);
  if (parts.empty()) return bad(flag, value, "not an IP address");
  for (const std::string& part : parts) TRY(address(flag, part));
  if (parts.size() > 2 || (parts.size() == 2 && api::is_v6(parts[0]) == api::is_v6(parts[1]))) {
    return bad(flag, value, "an address, or one of each IP family");
  }
  return {};
}

// The prefixes of nodes' shares, by family.
Result<void> check_mask(std::string_view flag, int64_t bits, bool v6) {
  int most = kMostNodeBits[v6 ? 1 : 0];
  if (bits >= 8 && bits <= most) return {};
  return bad(flag, std::to_string(bits), fmt::format("not between 8 and {}", most));
}

Result<void> check_ranges(const ServerOptions& o) {
  TRY(check_mask("node-cidr-mask-size-ipv4", o.node_cidr_mask_size_ipv4, false));
  TRY(check_mask("node-cidr-mask-size-ipv6", o.node_cidr_mask_size_ipv6, true));
  const int node_bits[] = {static_cast<int>(o.node_cidr_mask_size_ipv4),
                           static_cast<int>(o.node_cidr_mask_size_ipv6)};
  TRY_ASSIGN(std::vector<api::Cidr> pods, networks("cluster-cidr", o.cluster_cidr, node_bits));
  TRY_ASSIGN(std::vector<api::Cidr> services,
             networks("service-cidr", o.service_cidr, kMostServiceBits));
  for (bool v6 : {false, true}) {
    if (has_family(pods, v6) == has_family(services, v6)) continue;
    return bad("service-cidr", o.service_cidr,
               "must have the IP families of --cluster-cidr " + o.cluster_cidr);
  }
  for (const api::Cidr& p : pods) {
    for (const api::Cidr& s : services) {
      if (p.overlaps(s))
        return bad("service-cidr", s.text(), "overlaps --cluster-cidr " + p.text());
    }
  }
  TRY_ASSIGN(api::IpAddress dns, address("cluster-dns", o.cluster_dns));
  bool inside = false;
  for (const api::Cidr& s : services) inside |= s.contains(dns);
  if (!inside) {
    return bad("cluster-dns", o.cluster_dns, "not within --service-cidr " + o.service_cidr);
  }
  TRY_ASSIGN(api::IpAddress advertised, address("advertise-address", o.advertise_address));
  bool first_v6 = services[0].address.v6;
  if (advertised.v6 != first_v6) {
    return bad("advertise-address", o.advertise_address,
               fmt::format("must be an {} address, as the first --service-cidr is",
                           api::family_name(first_v6)));
  }
  return {};
}

Result<void> check_port(std::string_view flag, int64_t port) {
  if (port < 1 || port > 65535) return bad(flag, std::to_string(port), "not a port");
  return {};
}

}  // namespace

// Of the node's name and labels: the API would refuse them only later, again and again.
Result<void> check_node(const NodeOptions& o) {
  TRY(check_port("kubelet-port", o.kubelet_port));
  TRY(check_addresses("node-ip", o.node_ip));
  if (!api::is_dns1123_subdomain(o.node_name)) {
    return bad("node-name", o.node_name,
               "must be lower case letters, digits, '-' and '.', as names of machines are");
  }
  for (const std::string& label : o.node_label) {
    size_t equals = label.find('=');
    if (equals == std::string::npos || !api::is_qualified_name(label.substr(0, equals)) ||
        !api::check_label_value(label.substr(equals + 1)).empty()) {
      return bad("node-label", label, "not a label: KEY=VALUE");
    }
  }
  if (o.local_storage_path == "/") {
    return bad("local-storage-path", o.local_storage_path, "must be a folder of its own");
  }
  if (o.bridge.empty() || o.bridge.size() >= IFNAMSIZ) {
    return bad("bridge", o.bridge, fmt::format("names of links have 1 to {} bytes", IFNAMSIZ - 1));
  }
  if (o.vxlan_device.empty() || o.vxlan_device.size() >= IFNAMSIZ - 1) {  // one more has an "r"
    return bad("vxlan-device", o.vxlan_device,
               fmt::format("names of links have 1 to {} bytes", IFNAMSIZ - 2));
  }
  return {};
}

Result<void> check_own_labels(const NodeOptions& o) {
  for (const std::string& label : o.node_label) {
    std::string key = label.substr(0, label.find('='));
    if (api::node_may_set_label(key)) continue;
    return bad("node-label", label,
               fmt::format("a node may not give itself this label: run `kubectl label node {} {}` "
                           "once it has joined",
                           o.node_name, label));
  }
  return {};
}

Result<void> check_options(const ServerOptions& o) {
  TRY(check_port("https-listen-port", o.https_listen_port));
  TRY(address("bind-address", o.bind_address));
  TRY(check_ranges(o));
  if (!agent::parse_backend(o.network_backend)) {
    return bad("network-backend", o.network_backend, "not one of vxlan, host-gw, none");
  }
  TRY(check_port("vxlan-port", atoi(o.vxlan_port.c_str())));
  return check_node(o);
}

}  // namespace knarr::cli
