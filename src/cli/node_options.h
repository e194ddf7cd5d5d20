// The flags that make a node, the same for `knarr server` and `knarr agent`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/flags.h"

namespace knarr::cli {

struct NodeOptions {
  std::string config_file = "/etc/knarr/config.yaml";
  std::string data_dir = "/var/lib/knarr";
  std::string run_dir = "/run/knarr";
  std::string log_dir = "/var/log/pods";
  std::string node_name;
  std::string node_ip;  // of each IP family one, the first is how others reach the node
  bool node_ip_given = false;
  std::vector<std::string> node_label;
  std::vector<std::string> node_taint;
  std::string resolv_conf = "/etc/resolv.conf";
  std::string private_registry = "/etc/knarr/registries.yaml";
  int64_t kubelet_port = 10250;
  std::vector<std::string> kubelet_arg;
  std::string bridge = "knarr0";
  std::string local_storage_path;  // empty: <data-dir>/storage
  std::string cgroup_root = "knarr";
  std::string chain_prefix = "KNARR";
  std::string vxlan_device = "knarr.1";
  bool disable_network = false;
  bool disable_network_policy = false;
  bool enable_network_policy = false;  // with network_backend none
  std::string cni_conf_dir = "/etc/cni/net.d";
  std::vector<std::string> cni_bin_dir = {"/opt/cni/bin", "/usr/lib/cni"};
  bool debug = false;

  // Of the whole cluster: the server's flags, which agents are told.
  // A range, or one of each IP family with a comma between; services have the first's by default.
  std::string cluster_cidr = "10.42.0.0/16";
  std::string service_cidr = "10.43.0.0/16";
  std::string cluster_dns = "";  // empty: the tenth address of the first service CIDR
  std::string cluster_domain = "cluster.local";
  std::string network_backend = "vxlan";
  std::string vxlan_port = "8472";
};

// Declares --config, --data-dir and their like, before the other flags of a subcommand.
void base_flags(FlagSet& flags, NodeOptions& options);
// Declares what concerns the node alone.
void node_flags(FlagSet& flags, NodeOptions& options);

// Config file, variables and command line, in this order of strength. Errors are for the user.
Result<void> read_flags(const std::vector<std::string>& args, FlagSet& flags,
                        const NodeOptions& options);
// The node's name and address, where the user left them open.
void fill_in_node(NodeOptions& options);
// Once the cluster's ranges are known: an address the user left open is joined by one of each
// other IP family that the cluster has.
void add_families(NodeOptions& options);

}  // namespace knarr::cli
