#include "cli/server_options.h"

#include <unistd.h>

#include <cstdlib>

#include "agent/machine_facts.h"
#include "api/codec/yaml.h"
#include "api/ip.h"
#include "base/file.h"
#include "cli/option_check.h"

namespace knarr::cli {

namespace {

constexpr int kDnsHost = 10;

// --config may stand on the command line or in KNARR_CONFIG; it is wanted before the rest is read.
std::string config_path(const std::vector<std::string>& args, const std::string& fallback) {
  for (size_t i = 0; i < args.size(); i++) {
    if (args[i].rfind("--config=", 0) == 0) return args[i].substr(9);
    if ((args[i] == "--config" || args[i] == "-c") && i + 1 < args.size()) return args[i + 1];
  }
  const char* variable = getenv("KNARR_CONFIG");
  return variable != nullptr && *variable != '\0' ? variable : fallback;
}

Result<void> read_file(const std::string& path, bool must_exist, FlagSet& flags) {
  if (!base::file_exists(path) && !must_exist) return {};
  TRY_ASSIGN(std::string text, base::read_file(path));
  auto documents = api::parse_yaml_stream(text);
  if (!documents.ok()) {
    return make_error(Code::kBadRequest, path + ": " + documents.error().message);
  }
  return flags.read_config(documents->empty() ? json::Value() : (*documents)[0], path);
}

std::string lower_case(std::string name) {
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return name;
}

Result<void> fill_in(ServerOptions& o) {
  if (o.node_ip.empty()) o.node_ip = agent::default_address();
  if (o.advertise_address.empty()) {
    // Pods can't reach a loopback address; the API refuses one in Endpoints.
    auto ip = api::IpAddress::parse(o.node_ip);
    o.advertise_address = ip && ip->is_loopback() ? agent::default_address() : o.node_ip;
  }
  if (o.node_name.empty()) {
    char name[256] = "";
    gethostname(name, sizeof name - 1);
    o.node_name = lower_case(name);
  }
  if (o.cluster_dns.empty()) {
    auto cidr = api::Cidr::parse(o.service_cidr);
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
  f.text("config", o.config_file, "FILE", "read flags from this file");
  f.alias("c", "config");
  f.text("data-dir", o.data_dir, "DIR", "where everything is kept");
  f.alias("d", "data-dir");
  f.text("run-dir", o.run_dir, "DIR", "what lives until the next boot: sockets, running pods");
  f.text("log-dir", o.log_dir, "DIR", "logs of containers");
  f.text("bind-address", o.bind_address, "IP", "where the API server listens");
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
  f.text("cluster-cidr", o.cluster_cidr, "CIDR", "addresses of pods");
  f.text("service-cidr", o.service_cidr, "CIDR", "addresses of services");
  f.text("service-node-port-range", o.service_node_port_range, "A-B", "ports of NodePort services");
  f.text("cluster-dns", o.cluster_dns, "IP", "address of the DNS service");
  f.text("cluster-domain", o.cluster_domain, "NAME", "domain of services");
  f.text("node-name", o.node_name, "NAME", "name of this node");
  f.text("node-ip", o.node_ip, "IP", "address of this node");
  f.alias("i", "node-ip");
  f.list("node-label", o.node_label, "KEY=VALUE", "labels of this node");
  f.list("node-taint", o.node_taint, "KEY=VALUE:EFFECT", "taints of this node, at its first start");
  f.text("resolv-conf", o.resolv_conf, "FILE", "name servers that pods and DNS inherit");
  f.text("private-registry", o.private_registry, "FILE", "mirrors and credentials of registries");
  f.number("kubelet-port", o.kubelet_port, "PORT", "port of the node's own API");
  f.list("kubelet-arg", o.kubelet_arg, "KEY=VALUE",
         "settings of the node as a kubelet names them: container-log-max-size=20Mi, "
         "container-log-max-files, eviction-hard, image-gc-high-threshold, "
         "image-gc-low-threshold, max-pods");
  f.text("bridge", o.bridge, "NAME", "the bridge of this node's pods");
  f.text("cgroup-root", o.cgroup_root, "NAME", "cgroup that pods live below");
  f.text("chain-prefix", o.chain_prefix, "NAME", "what names of iptables chains begin with");
  f.boolean("disable-agent", o.disable_agent, "no node: control plane only");
  f.boolean("disable-scheduler", o.disable_scheduler, "no scheduler");
  f.boolean("disable-controller-manager", o.disable_controller_manager, "no controllers");
  f.boolean("disable-network", o.disable_network,
            "no pod network, service proxy and DNS: pods run on the host's network only");
  f.boolean("debug", o.debug, "log more");
  return f;
}

Result<void> read_server_options(const std::vector<std::string>& args, FlagSet& flags,
                                 ServerOptions& options) {
  std::string path = config_path(args, options.config_file);
  TRY(read_file(path, path != options.config_file, flags));
  TRY(flags.read_environment([](const char* name) { return getenv(name); }));
  std::vector<std::string> rest;
  TRY(flags.parse(args, rest));
  if (!rest.empty()) return make_error(Code::kBadRequest, "unknown argument: " + rest[0]);
  return fill_in(options);
}

}  // namespace knarr::cli
