// Ends what belongs to a `knarr dev` cluster. It is found by what the kernel knows, not by what a
// process remembers: pid files and arguments of processes, cgroups, the table of mounts.
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>

#include "agent/volumes/mount_point.h"
#include "base/file.h"
#include "base/format.h"
#include "base/unique_fd.h"
#include "cli/dev_cluster.h"
#include "cli/dev_network.h"
#include "cli/dev_process.h"
#include "runtime/cgroup.h"

namespace knarr::cli {

namespace {

constexpr int kMostEndMs = 10000;

struct Ending {
  int pid;
  base::UniqueFd process;
};

// Shims and nodes alike are "knarr", with paths below the run folder among their arguments.
bool belongs(const std::string& arguments, const std::string& run) {
  return arguments.starts_with(std::string_view("knarr\0", 6)) &&
         arguments.find('\0' + run + '/') != std::string::npos;
}

// Containers by their root, an overlay or a bind mount of what lies in the cluster's data. Those of
// the namespace that we are in see all clusters'.
bool has_root_below(const std::string& process, const std::string& data) {
  std::error_code error;
  auto theirs = std::filesystem::read_symlink(process + "/ns/mnt", error);
  auto ours = std::filesystem::read_symlink("/proc/self/ns/mnt", error);
  if (error || theirs == ours) return false;
  auto mounts = base::read_file(process + "/mountinfo");
  return mounts.ok() && agent::unescape_mountinfo(*mounts).find(data + "/") != std::string::npos;
}

using Chooser = std::function<bool(const std::string& process)>;  // "/proc/PID"

std::vector<Ending> processes_that(const Chooser& chosen) {
  std::vector<Ending> out;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    int pid = std::stoi(name);
    // Opened before it is looked at: what is signalled is what was looked at.
    base::UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
    if (!process.valid() || pid == getpid() || !chosen(entry.path())) continue;
    out.push_back({pid, std::move(process)});
  }
  return out;
}

std::vector<Ending> processes_of(const std::string& run) {
  return processes_that([&](const std::string& process) {
    auto arguments = base::read_file(process + "/cmdline");
    return arguments.ok() && belongs(*arguments, run);
  });
}

// The nodes first: a node whose shim ends starts another.
void kill_processes(const DevCluster& cluster) {
  auto kill_all = [](const std::vector<Ending>& all, auto&& chosen) {
    for (const Ending& e : all) {
      if (chosen(e.pid)) syscall(SYS_pidfd_send_signal, e.process.get(), SIGKILL, nullptr, 0);
    }
    for (const Ending& e : all) {
      if (chosen(e.pid)) await_end(e.pid, kMostEndMs);
    }
  };
  std::vector<int> nodes;
  for (int node = 0; node < cluster.nodes; node++) nodes.push_back(pid_of_dev_node(cluster, node));
  kill_all(processes_of(cluster.run()),
           [&](int pid) { return std::find(nodes.begin(), nodes.end(), pid) != nodes.end(); });
  kill_all(processes_of(cluster.run()), [](int) { return true; });
  if (!cluster.place.rootless) return;  // else cgroups tell
  auto left =
      processes_that([&](const std::string& p) { return has_root_below(p, cluster.data()); });
  kill_all(left, [](int) { return true; });
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
