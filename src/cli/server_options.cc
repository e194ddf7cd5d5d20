#include "cli/server_options.h"

#include "agent/join/join_token.h"
#include "agent/machine_facts.h"
#include "agent/network/machine_settings.h"
#include "api/ip.h"
#include "api/ip_list.h"
#include "cli/option_check.h"

namespace knarr::cli {

namespace {

constexpr int kDnsHost = 10;

// A machine that is said to have IPv6 alone has no use for the ranges that are there by default.
// One that only seems so may be before its DHCP, and a cluster keeps its ranges.
void fill_in_ranges(ServerOptions& o) {
  if (!o.node_ip_given || api::has_family(o.node_ip, false)) return;
  const ServerOptions open;
  if (o.cluster_cidr == open.cluster_cidr && o.service_cidr == open.service_cidr) {
    o.cluster_cidr = "fd00:42::/56";
    o.service_cidr = "fd00:43::/112";
  }
}

Result<void> fill_in(ServerOptions& o) {
  fill_in_node(o);
  fill_in_ranges(o);
  add_families(o);
  if (!o.token.empty()) {
    auto token = agent::parse_join_token(o.token);
    if (!token.ok()) return make_error(Code::kBadRequest, "--" + token.error().message);
    o.token = token->secret;
  }
  bool v6 = api::is_v6(api::first_of(o.service_cidr));
  if (o.bind_address.empty()) {
    std::string v6_range = api::of_family(o.cluster_cidr + "," + o.service_cidr, true);
    o.bind_address = v6_range.empty() ? "0.0.0.0" : "::";
    if (!v6_range.empty() && !agent::has_ipv6()) {
      return make_error(Code::kBadRequest, v6_range + ": this machine's kernel has no IPv6");
    }
  }
  if (o.advertise_address.empty()) {
    // Pods can't reach a loopback address; the API refuses one in Endpoints.
    o.advertise_address = api::of_family(o.node_ip, v6);
    auto ip = api::IpAddress::parse(o.advertise_address);
    if (!ip || ip->is_loopback()) o.advertise_address = agent::default_address(v6);
    if (o.advertise_address.empty()) o.advertise_address = api::first_of(o.node_ip);
  }
  if (o.cluster_dns.empty()) {
    auto cidr = api::Cidr::parse(api::first_of(o.service_cidr));
    auto address = cidr ? cidr->network().plus(kDnsHost) : std::nullopt;
    if (!address || !cidr->contains(*address)) {
      return make_error(Code::kBadRequest, "--service-cidr: not a usable CIDR: " + o.service_cidr);
    }
    o.cluster_dns = address->text();
  }
  return check_options(o);
}

}  // namespace

FlagSet server_flags(ServerOptions& o) {
  FlagSet f("knarr server [flags]",
            "Runs a whole Kubernetes cluster on this machine: control plane and node in one "
            "process.\nEvery flag may also stand in the config file (without its dashes), or in a "
            "variable\n(--node-name is KNARR_NODE_NAME). The command line wins over variables, "
            "those over the file.");
  base_flags(f, o);
  f.text("bind-address", o.bind_address, "IP", "where the API server listens, else everywhere");
  f.number("https-listen-port", o.https_listen_port, "PORT", "port of the API server");
  f.text("advertise-address", o.advertise_address, "IP", "where others reach the API server");
  f.text("write-kubeconfig", o.write_kubeconfig, "FILE", "the administrator's kubeconfig");
  f.alias("o", "write-kubeconfig");
  f.text("token", o.token, "TOKEN", "secret that machines join with");
  f.alias("t", "token");
  f.text("token-auth-file", o.token_auth_file, "FILE",
         "static bearer tokens, as kube-apiserver reads them");
  f.text("authorization-mode", o.authorization_mode, "MODES",
         "who may do what, in this order: Node, RBAC, AlwaysAllow (whoever proved who he is)");
  f.list("tls-san", o.tls_san, "NAME", "further names and addresses of the API server");
  f.joined("cluster-cidr", o.cluster_cidr, "CIDR",
           "addresses of pods: a range, in dual stack of each IP family one");
  f.number("node-cidr-mask-size-ipv4", o.node_cidr_mask_size_ipv4, "BITS",
           "the prefix of a node's share of the IPv4 range");
  f.number("node-cidr-mask-size-ipv6", o.node_cidr_mask_size_ipv6, "BITS",
           "the prefix of a node's share of the IPv6 range");
  f.text("network-backend", o.network_backend, "NAME",
         "how nodes reach each other's pods: vxlan, host-gw (all on one link), none (the pods' "
         "network is made by CNI plug-ins of others)");
  f.text("vxlan-port", o.vxlan_port, "PORT", "UDP port between nodes");
  f.joined("service-cidr", o.service_cidr, "CIDR",
           "addresses of services; the first range's IP family is the default");
  f.text("service-node-port-range", o.service_node_port_range, "A-B", "ports of NodePort services");
  f.text("cluster-dns", o.cluster_dns, "IP", "address of the DNS service");
  f.text("cluster-domain", o.cluster_domain, "NAME", "domain of services");
  f.boolean("disable-agent", o.disable_agent, "no node: control plane only");
  f.boolean("disable-scheduler", o.disable_scheduler, "no scheduler");
  f.boolean("disable-controller-manager", o.disable_controller_manager, "no controllers");
  f.boolean("disable-load-balancer", o.disable_load_balancer,
            "services of type LoadBalancer are for another to serve");
  f.boolean("disable-local-storage", o.disable_local_storage,
            "no StorageClass local-path, whose volumes are directories of nodes; those that there "
            "are stay, and can be deleted");
  f.boolean("disable-metrics-server", o.disable_metrics_server,
            "no metrics.k8s.io: what nodes and pods use is not asked for");
  node_flags(f, o);
  return f;
}

Result<void> read_server_options(const std::vector<std::string>& args, FlagSet& flags,
                                 ServerOptions& options) {
  TRY(read_flags(args, flags, options));
  return fill_in(options);
}

}  // namespace knarr::cli
