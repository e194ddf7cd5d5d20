#include "cli/option_check.h"

#include <net/if.h>

#include <cstdlib>

#include "agent/network/overlay_plan.h"
#include "api/ip.h"
#include "api/names.h"
#include "base/format.h"

namespace knarr::cli {

namespace {

// A node's share of the pods' addresses.
constexpr int kNodeBits = 24;
constexpr int kMostServiceBits = 30;

Error bad(std::string_view flag, std::string_view value, std::string_view what) {
  return make_error(Code::kBadRequest, fmt::format("--{}: {}: {}", flag, value, what));
}

Result<api::Cidr> network(std::string_view flag, const std::string& value, int most_bits) {
  auto cidr = api::Cidr::parse(value);
  if (!cidr) return bad(flag, value, "not a CIDR, as in 10.0.0.0/16");
  if (cidr->address.v6) return bad(flag, value, "IPv6 is not supported yet");
  if (!cidr->is_canonical_network()) {
    return bad(flag, value, "has bits beyond its prefix; the network is " + cidr->network().text());
  }
  if (cidr->prefix > most_bits) {
    return bad(flag, value, fmt::format("too small: at most /{} is", most_bits));
  }
  return *cidr;
}

Result<api::IpAddress> address(std::string_view flag, const std::string& value) {
  auto ip = api::IpAddress::parse(value);
  if (!ip) return bad(flag, value, "not an IP address");
  return *ip;
}

Result<void> check_port(std::string_view flag, int64_t port) {
  if (port < 1 || port > 65535) return bad(flag, std::to_string(port), "not a port");
  return {};
}

}  // namespace

// Of the node's name and labels: the API would refuse them only later, again and again.
Result<void> check_node(const NodeOptions& o) {
  TRY(check_port("kubelet-port", o.kubelet_port));
  TRY(address("node-ip", o.node_ip));
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
  if (o.bridge.empty() || o.bridge.size() >= IFNAMSIZ) {
    return bad("bridge", o.bridge, fmt::format("names of links have 1 to {} bytes", IFNAMSIZ - 1));
  }
  if (o.vxlan_device.empty() || o.vxlan_device.size() >= IFNAMSIZ) {
    return bad("vxlan-device", o.vxlan_device,
               fmt::format("names of links have 1 to {} bytes", IFNAMSIZ - 1));
  }
  return {};
}

Result<void> check_options(const ServerOptions& o) {
  TRY(check_port("https-listen-port", o.https_listen_port));
  TRY(address("bind-address", o.bind_address));
  TRY(address("advertise-address", o.advertise_address));
  TRY_ASSIGN(api::Cidr pods, network("cluster-cidr", o.cluster_cidr, kNodeBits));
  TRY_ASSIGN(api::Cidr services, network("service-cidr", o.service_cidr, kMostServiceBits));
  if (pods.overlaps(services)) {
    return bad("service-cidr", o.service_cidr, "overlaps --cluster-cidr " + o.cluster_cidr);
  }
  TRY_ASSIGN(api::IpAddress dns, address("cluster-dns", o.cluster_dns));
  if (!services.contains(dns)) {
    return bad("cluster-dns", o.cluster_dns, "not within --service-cidr " + o.service_cidr);
  }
  if (!agent::parse_backend(o.network_backend)) {
    return bad("network-backend", o.network_backend, "not one of vxlan, host-gw, none");
  }
  TRY(check_port("vxlan-port", atoi(o.vxlan_port.c_str())));
  return check_node(o);
}

}  // namespace knarr::cli
