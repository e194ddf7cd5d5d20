// A cluster of `knarr dev`: several nodes on this machine, each a process in a network namespace of
// its own. What it is lies in <dev-dir>/<name>/cluster.json, what nodes store beside it; what ends
// with the machine is below <run-root>/<name>. Node 0 is the server. Blocking: commands only.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "knarr/result.h"

namespace knarr::cli {

// Where the clusters of one user are.
struct DevPlace {
  std::string dev_dir;   // root's: /var/lib/knarr/dev, another user's: ~/.local/share/knarr/dev
  std::string run_root;  // /run/knarr-dev, $XDG_RUNTIME_DIR/knarr-dev
  bool rootless = false;

  static DevPlace of_caller(const std::string& dev_dir);  // empty: as above
};

struct DevCluster {
  std::string name;
  DevPlace place;
  std::string cgroup_root;
  int nodes = 1;
  int subnet = 0;                    // N of 10.89.N.0/24
  std::vector<std::string> publish;  // "8080:80", "5353:30053/udp"
  int api_port = 0;                  // rootless: of 127.0.0.1, leads to the API server
  std::string kubeconfig;            // the user's, with our context in it; may be empty
  std::string previous_context;
  bool made_kubeconfig = false;
  bool made_kubeconfig_folder = false;

  std::string data() const { return place.dev_dir + "/" + name; }
  std::string run() const { return place.run_root + "/" + name; }
  std::string node_name(int node) const;
  // "NAME-agent-1", or "agent-1".
  std::optional<int> node_of(const std::string& name) const;
  std::string data_of(int node) const;
  std::string run_of(int node) const;
  std::string pid_file(int node) const { return run_of(node) + ".pid"; }
  std::string log_file(int node) const { return data_of(node) + "/knarr.log"; }
  std::string cgroup_of(int node) const;
  std::string context() const { return "knarr-" + name; }
};

// As long as it lives no other `knarr dev` changes clusters.
class DevLock {
 public:
  ~DevLock();
  Result<void> take(const std::string& run_root);

 private:
  std::string run_root_;
  base::UniqueFd fd_;
};

Result<DevCluster> load_dev_cluster(const DevPlace& place, const std::string& name);
Result<void> save_dev_cluster(const DevCluster& cluster);
std::vector<DevCluster> list_dev_clusters(const DevPlace& place);

// Something of one may run, wherever it is kept: pods do when their node has been killed.
bool any_dev_cluster_runs(const std::string& run_root);
// Of the cluster with that run folder: the pid of a node that runs, or 0.
int any_dev_node_of(const std::string& run);
// Whether the node's process runs; its pid, or 0.
int pid_of_dev_node(const DevCluster& cluster, int node);
// Starts those nodes that do not run, the server first, and returns when all are ready. The error
// has the end of the log.
Result<void> start_dev_nodes(const DevCluster& cluster);
// The server lets nodes join.
Result<void> await_dev_server(const DevCluster& cluster);
// All nodes are Ready, and pods may be made.
Result<void> await_dev_nodes(const DevCluster& cluster);
// Ends processes, pods, mounts, cgroups, the network. What is stored stays.
Result<void> stop_dev_cluster(const DevCluster& cluster);
// The same of one node; its network stays.
Result<void> stop_dev_node(const DevCluster& cluster, int node);
// A node that is stopped is none of the cluster that runs. It may join again.
Result<void> forget_dev_node(const DevCluster& cluster, int node);
// After it is stopped: its files.
Result<void> remove_dev_files(const DevCluster& cluster);

// The kubeconfig that the user's kubectl reads has a context for the cluster, the current one.
Result<void> add_dev_context(DevCluster& cluster);
Result<void> remove_dev_context(const DevCluster& cluster);

}  // namespace knarr::cli
