// The flags of `knarr server`, with k3s's names where k3s has the flag.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/node_options.h"

namespace knarr::cli {

struct ServerOptions : NodeOptions {
  std::string bind_address;
  int64_t https_listen_port = 6443;
  std::string advertise_address;
  std::string write_kubeconfig = "/etc/knarr/knarr.yaml";
  std::string token;
  std::string token_auth_file;
  std::string authorization_mode = "Node,RBAC";
  std::vector<std::string> tls_san;
  int64_t node_cidr_mask_size_ipv4 = 24;
  int64_t node_cidr_mask_size_ipv6 = 64;
  std::string service_node_port_range = "30000-32767";
  bool disable_agent = false;
  bool disable_scheduler = false;
  bool disable_controller_manager = false;
  bool disable_load_balancer = false;
  bool disable_local_storage = false;
  bool disable_metrics_server = false;
};

// Declares every flag upon the options.
FlagSet server_flags(ServerOptions& options);

// Config file, variables and command line, in this order of strength; then what depends on others
// is filled in (node name and address, DNS address). Errors are for the user.
Result<void> read_server_options(const std::vector<std::string>& args, FlagSet& flags,
                                 ServerOptions& options);

}  // namespace knarr::cli
