// The list of controllers.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "net/pki.h"
#include "server/auth/token_issuer.h"
#include "server/controllers/controller.h"
#include "server/controllers/namespace.h"
#include "server/metrics/metrics_source.h"

namespace knarr::server {

// Without a sign of life for this long a node is not ready: three of its renewals missed, and time
// for a fourth. Upstream's default was this before it became 50 s.
inline constexpr int64_t kNodeGraceMs = 40000;

struct ControllersOptions {
  std::string root_ca_pem;                     // what kube-root-ca.crt publishes
  net::KeyPair ca;                             // signs certificates; without key none are signed
  std::vector<std::string> server_names;       // names and addresses of the API server
  TokenIssuer* tokens = nullptr;               // null: token secrets stay as they are
  MetricsSource* metrics = nullptr;            // null: nobody serves metrics
  Discover discover;                           // null: the built-in resources
  std::string cluster_cidr = "10.244.0.0/16";  // of each IP family one
  int node_cidr_bits_v4 = 24, node_cidr_bits_v6 = 64;
  int64_t node_grace_ms = kNodeGraceMs;
  bool load_balancer = true;         // services of that type are ours to serve
  bool local_storage = true;         // new volumes that are directories of nodes, and their class
  std::vector<int64_t> taken_ports;  // TCP ports of nodes that no load balancer may have
  std::vector<int64_t> taken_udp_ports;
};

// All of them, not started. They outlive nothing of the context.
std::unique_ptr<ControllerHost> make_controllers(const ControllerContext& context,
                                                 ControllersOptions options);

}  // namespace knarr::server
