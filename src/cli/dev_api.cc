// What a cluster of `knarr dev` says of itself through its API, asked until it says what is waited
// for: these are moments, and then the command goes on.
#include <unistd.h>

#include <chrono>
#include <functional>

#include "base/file.h"
#include "base/format.h"
#include "cli/dev_cluster.h"
#include "cli/dev_network.h"
#include "cli/kubectl/api_client.h"

namespace knarr::cli {

namespace {

constexpr auto kMostWait = std::chrono::seconds(60);
constexpr useconds_t kAgainUs = 10000;

Result<kubectl::ApiClient> open_api(const DevCluster& cluster) {
  kubectl::ConfigOverrides overrides;
  overrides.kubeconfig = cluster.data_of(0) + "/kubeconfig";
  // Written for the node's own namespace.
  overrides.server = "https://" + DevNetwork(cluster).address(0) + ":6443";
  TRY_ASSIGN(json::Value config, kubectl::read_kubeconfigs(overrides));
  TRY_ASSIGN(auto client, kubectl::client_config(config, overrides));
  TRY_ASSIGN(auto session, kubectl::HttpSession::open(client));
  return kubectl::ApiClient(std::move(session));
}

kubectl::ApiAsk get(std::string path) {
  kubectl::ApiAsk ask;
  ask.path = std::move(path);
  return ask;
}

Result<void> wait_until(const DevCluster& cluster, const char* what,
                        const std::function<bool()>& reached) {
  auto end = std::chrono::steady_clock::now() + kMostWait;
  while (!reached()) {
    if (pid_of_dev_node(cluster, 0) == 0) {
      return make_error(Code::kUnknown,
                        fmt::format("node {} has ended: `knarr dev logs {}` says more",
                                    cluster.node_name(0), cluster.name));
    }
    if (std::chrono::steady_clock::now() > end) {
      return make_error(Code::kTimeout, std::string("not within a minute: ") + what);
    }
    usleep(kAgainUs);
  }
  return {};
}

bool is_ready(const json::Value& node) {
  for (const json::Value& c : node["status"]["conditions"].elements()) {
    if (c["type"].as_string() == "Ready") return c["status"].as_string() == "True";
  }
  return false;
}

}  // namespace

Result<void> await_dev_server(const DevCluster& cluster) {
  TRY_ASSIGN(kubectl::ApiClient api, open_api(cluster));
  return wait_until(cluster, "the server lets nodes join", [&] {
    return base::file_exists(cluster.data_of(0) + "/server/token") && api.text(get("/readyz")).ok();
  });
}

Result<void> await_dev_nodes(const DevCluster& cluster) {
  TRY_ASSIGN(kubectl::ApiClient api, open_api(cluster));
  TRY(wait_until(cluster, "every node is Ready", [&] {
    auto nodes = api.list(get("/api/v1/nodes"));
    int ready = 0;
    if (nodes.ok()) {
      for (const json::Value& node : (*nodes)["items"].elements()) ready += is_ready(node) ? 1 : 0;
    }
    return ready >= cluster.nodes;
  }));
  // Without it pods are refused.
  return wait_until(cluster, "there is a default service account", [&] {
    return api.call(get("/api/v1/namespaces/default/serviceaccounts/default")).ok();
  });
}

Result<void> forget_dev_node(const DevCluster& cluster, int node) {
  TRY_ASSIGN(kubectl::ApiClient api, open_api(cluster));
  kubectl::ApiAsk ask = get("/api/v1/nodes/" + cluster.node_name(node));
  ask.method = "DELETE";
  auto gone = api.call(ask);
  if (gone.ok() || gone.error().code == Code::kNotFound) return {};
  return gone.error();
}

}  // namespace knarr::cli
