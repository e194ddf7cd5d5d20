#include "cli/node_options.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "agent/dns/forwarder.h"
#include "agent/machine_facts.h"
#include "api/codec/yaml.h"
#include "api/ip.h"
#include "api/ip_list.h"
#include "base/ascii.h"
#include "base/file.h"

namespace knarr::cli {

namespace {

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

// Nodes tell it to the API: volumes name what is below it.
std::string absolute_path(const std::string& path) {
  std::error_code error;
  std::string text = std::filesystem::absolute(path, error).lexically_normal();
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

}  // namespace

void base_flags(FlagSet& f, NodeOptions& o) {
  f.text("config", o.config_file, "FILE", "read flags from this file");
  f.alias("c", "config");
  f.text("data-dir", o.data_dir, "DIR", "where everything is kept");
  f.alias("d", "data-dir");
  f.text("run-dir", o.run_dir, "DIR", "what lives until the next boot: sockets, running pods");
  f.text("log-dir", o.log_dir, "DIR", "logs of containers");
}

void node_flags(FlagSet& f, NodeOptions& o) {
  f.text("node-name", o.node_name, "NAME", "name of this node");
  f.joined("node-ip", o.node_ip, "IP", "address of this node; in dual stack of each IP family one");
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
  f.text("local-storage-path", o.local_storage_path, "DIR",
         "what volumes of class local-path are directories of (default <data-dir>/storage)");
  f.alias("default-local-storage-path", "local-storage-path");
  f.text("bridge", o.bridge, "NAME", "the bridge of this node's pods");
  f.text("cgroup-root", o.cgroup_root, "NAME", "cgroup that pods live below");
  f.text("chain-prefix", o.chain_prefix, "NAME", "what names of iptables chains begin with");
  f.text("vxlan-device", o.vxlan_device, "NAME", "the link to the pods of other nodes");
  f.boolean("disable-network", o.disable_network,
            "no pod network, service proxy and DNS: pods run on the host's network only");
  f.boolean("disable-network-policy", o.disable_network_policy,
            "network policies are for another to enforce");
  f.boolean("enable-network-policy", o.enable_network_policy,
            "enforce network policies with --network-backend none, too");
  f.text("cni-conf-dir", o.cni_conf_dir, "DIR", "network configurations, for the backend none");
  f.list("cni-bin-dir", o.cni_bin_dir, "DIR", "plug-ins that these name, in the first that has it");
  f.boolean("debug", o.debug, "log more");
}

Result<void> read_flags(const std::vector<std::string>& args, FlagSet& flags,
                        const NodeOptions& options) {
  std::string path = config_path(args, options.config_file);
  TRY(read_file(path, path != options.config_file, flags));
  TRY(flags.read_environment([](const char* name) { return getenv(name); }));
  std::vector<std::string> rest;
  TRY(flags.parse(args, rest));
  if (!rest.empty()) return make_error(Code::kBadRequest, "unknown argument: " + rest[0]);
  return {};
}

namespace {

// Where /etc/resolv.conf leads to a resolver on this machine alone (systemd-resolved), pods can't
// use it: the file that has what is behind it does.
std::string choose_resolv_conf(const std::string& file) {
  constexpr char kBehind[] = "/run/systemd/resolve/resolv.conf";
  auto text = base::read_file(file);
  if (file != "/etc/resolv.conf" || !text.ok() || !base::file_exists(kBehind)) return file;
  std::vector<std::string> servers = agent::upstream_servers(*text, {});
  bool all_local = std::all_of(servers.begin(), servers.end(), [](const std::string& server) {
    auto ip = api::IpAddress::parse(server);
    return ip && ip->is_loopback();
  });
  return all_local ? kBehind : file;
}

}  // namespace

void fill_in_node(NodeOptions& o) {
  o.resolv_conf = choose_resolv_conf(o.resolv_conf);
  if (o.local_storage_path.empty()) o.local_storage_path = o.data_dir + "/storage";
  o.local_storage_path = absolute_path(o.local_storage_path);
  o.node_ip_given = !o.node_ip.empty();
  if (o.node_ip.empty()) o.node_ip = agent::default_address();
  // One way to write it: certificates and the API are compared with it as text.
  std::vector<std::string> ips = api::split_list(o.node_ip);
  for (std::string& text : ips) {
    if (auto ip = api::IpAddress::parse(text)) text = ip->text();
  }
  o.node_ip = api::join_list(ips);
  if (!o.node_name.empty()) return;
  char name[256] = "";
  gethostname(name, sizeof name - 1);
  o.node_name = base::lower(name);
}

void add_families(NodeOptions& o) {
  if (o.node_ip_given) return;
  for (const std::string& range : api::split_list(o.cluster_cidr)) {
    bool v6 = api::is_v6(range);
    if (api::has_family(o.node_ip, v6)) continue;
    std::string address = agent::default_address(v6);
    if (!address.empty()) o.node_ip += "," + address;
  }
}

}  // namespace knarr::cli
