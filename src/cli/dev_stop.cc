// Ends what belongs to a `knarr dev` cluster. It is found by what the kernel knows, not by what a
// process remembers: pid files and arguments of processes, cgroups, the table of mounts.
#include <algorithm>
#include <filesystem>
#include <functional>
#include <numeric>

#include "agent/volumes/mount_point.h"
#include "base/file.h"
#include "cli/dev_cluster.h"
#include "cli/dev_network.h"
#include "cli/dev_process.h"
#include "runtime/cgroup.h"

namespace knarr::cli {

namespace {

// Of them only what is in the list, if there is one.
void kill_all(const std::function<bool(const std::string&)>& chosen,
              const std::vector<int>* only = nullptr) {
  std::vector<FoundProcess> found = find_processes(chosen);
  if (only != nullptr) {
    std::erase_if(found, [&](const FoundProcess& p) {
      return std::find(only->begin(), only->end(), p.pid) == only->end();
    });
  }
  kill_and_await(found);
}

std::function<bool(const std::string&)> running_below(const std::string& run) {
  return [run](const std::string& process) {
    auto arguments = base::read_file(process + "/cmdline");
    return arguments.ok() && runs_below(*arguments, run);
  };
}

// The nodes first: a node whose shim ends starts another.
void kill_processes(const DevCluster& cluster, const std::vector<int>& nodes,
                    const std::string& run, const std::string& data) {
  std::vector<int> pids;
  for (int node : nodes) pids.push_back(pid_of_dev_node(cluster, node));
  kill_all(running_below(cluster.run()), &pids);
  kill_all(running_below(run));
  if (!cluster.place.rootless) return;  // else cgroups tell
  kill_all([&](const std::string& process) { return is_rooted_below(process, data); });
}

// Of files below a mount that stays, nothing may be removed.
Result<void> unmount_all(const std::string& folder) {
  TRY(agent::unmount_below(folder));
  TRY_ASSIGN(std::vector<std::string> left, agent::mounts_below(folder));
  if (left.empty()) return {};
  return make_error(Code::kUnknown, "cannot unmount what is below " + folder);
}

}  // namespace

Result<void> stop_dev_node(const DevCluster& cluster, int node) {
  std::string run = cluster.run_of(node), data = cluster.data_of(node);
  kill_processes(cluster, {node}, run, data);
  runtime::Cgroups::of_this_machine(cluster.cgroup_of(node)).remove_all();
  TRY(unmount_all(run));
  TRY(unmount_all(data));
  std::error_code error;
  std::filesystem::remove_all(run, error);
  std::filesystem::remove(cluster.pid_file(node), error);
  return {};
}

Result<void> stop_dev_cluster(const DevCluster& cluster) {
  std::vector<int> nodes(static_cast<size_t>(cluster.nodes));
  std::iota(nodes.begin(), nodes.end(), 0);
  kill_processes(cluster, nodes, cluster.run(), cluster.data());
  for (int node : nodes) {
    runtime::Cgroups::of_this_machine(cluster.cgroup_of(node)).remove_all();
  }
  TRY(unmount_all(cluster.run()));
  TRY(unmount_all(cluster.data()));
  std::error_code error;
  std::filesystem::remove_all(cluster.run(), error);
  return DevNetwork(cluster).remove(!any_dev_cluster_runs(cluster.place.run_root));
}

}  // namespace knarr::cli
