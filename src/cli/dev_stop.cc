// Ends what belongs to a `knarr dev` cluster. It is found by what the kernel knows, not by what a
// process remembers: pid files and arguments of processes, cgroups, the table of mounts.
#include <algorithm>
#include <filesystem>
#include <functional>

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

// The nodes first: a node whose shim ends starts another.
void kill_processes(const DevCluster& cluster) {
  std::vector<int> nodes;
  for (int node = 0; node < cluster.nodes; node++) nodes.push_back(pid_of_dev_node(cluster, node));
  auto ours = [&](const std::string& process) {
    auto arguments = base::read_file(process + "/cmdline");
    return arguments.ok() && runs_below(*arguments, cluster.run());
  };
  kill_all(ours, &nodes);
  kill_all(ours);
  if (!cluster.place.rootless) return;  // else cgroups tell
  kill_all([&](const std::string& process) { return has_mounts_below(process, cluster.data()); });
}

// Of files below a mount that stays, nothing may be removed.
Result<void> unmount_all(const std::string& folder) {
  TRY(agent::unmount_below(folder));
  TRY_ASSIGN(std::vector<std::string> left, agent::mounts_below(folder));
  if (left.empty()) return {};
  return make_error(Code::kUnknown, "cannot unmount what is below " + folder);
}

}  // namespace

Result<void> stop_dev_cluster(const DevCluster& cluster) {
  kill_processes(cluster);
  for (int node = 0; node < cluster.nodes; node++) {
    runtime::Cgroups::of_this_machine(cluster.cgroup_of(node)).remove_all();
  }
  TRY(unmount_all(cluster.run()));
  TRY(unmount_all(cluster.data()));
  std::error_code error;
  std::filesystem::remove_all(cluster.run(), error);
  bool last = true;
  for (const auto& entry : std::filesystem::directory_iterator(cluster.place.run_root, error)) {
    last &= !entry.is_directory();
  }
  return DevNetwork(cluster).remove(last);
}

}  // namespace knarr::cli
