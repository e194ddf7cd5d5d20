// The flags of `knarr server`, with k3s's names where k3s has the flag.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/flags.h"

namespace knarr::cli {

struct ServerOptions {
  std::string config_file = "/etc/knarr/config.yaml";
  std::string data_dir = "/var/lib/knarr";
  std::string run_dir = "/run/knarr";
  std::string log_dir = "/var/log/pods";
  std::string bind_address = "0.0.0.0";
  int64_t https_listen_port = 6443;
  std::string advertise_address;
  std::string write_kubeconfig = "/etc/knarr/knarr.yaml";
  std::string token;
  std::string token_auth_file;
  std::string authorization_mode = "Node,RBAC";
  std::vector<std::string> tls_san;
  std::string cluster_cidr = "10.42.0.0/16";
  std::string service_cidr = "10.43.0.0/16";
  std::string service_node_port_range = "30000-32767";
  std::string cluster_dns = "";  // empty: the tenth address of the service CIDR
  std::string cluster_domain = "cluster.local";
  std::string node_name;
  std::string node_ip;
  std::vector<std::string> node_label;
  std::vector<std::string> node_taint;
  std::string resolv_conf = "/etc/resolv.conf";
  std::string private_registry = "/etc/knarr/registries.yaml";
  int64_t kubelet_port = 10250;
  std::vector<std::string> kubelet_arg;
  std::string bridge = "knarr0";
  std::string cgroup_root = "knarr";
  std::string chain_prefix = "KNARR";
  bool disable_agent = false;
  bool disable_scheduler = false;
  bool disable_controller_manager = false;
  bool disable_network = false;
  bool debug = false;
};

// Declares every flag upon the options.
FlagSet server_flags(ServerOptions& options);

// Config file, variables and command line, in this order of strength; then what depends on others
// is filled in (node name and address, DNS address). Errors are for the user.
Result<void> read_server_options(const std::vector<std::string>& args, FlagSet& flags,
                                 ServerOptions& options);

}  // namespace knarr::cli
