#include "cli/dev_orphans.h"

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "base/file.h"
#include "cli/dev_process.h"

namespace knarr::cli {

namespace {

constexpr int kMostRounds = 20;

// "user:[4026531837]"; empty for who is not ours to look at.
std::string user_namespace_of(const std::string& process) {
  std::error_code error;
  auto link = std::filesystem::read_symlink(process + "/ns/user", error);
  return error ? "" : link.string();
}

std::vector<FoundProcess> find_orphans(const DevPlace& place, std::set<std::string>& spaces) {
  std::string own = user_namespace_of("/proc/self");
  std::vector<DevCluster> clusters = list_dev_clusters(place);
  // What nodes and shims are in is the clusters' alone.
  find_processes([&](const std::string& process) {
    auto arguments = base::read_file(process + "/cmdline");
    std::string space = user_namespace_of(process);
    bool ours = arguments.ok() && runs_below(*arguments, place.run_root);
    if (ours && !space.empty() && space != own) spaces.insert(space);
    return false;
  });
  return find_processes([&](const std::string& process) {
    std::string space = user_namespace_of(process);
    if (space.empty() || space == own) return false;
    bool orphan = spaces.count(space) > 0;
    for (const DevCluster& c : clusters) orphan = orphan || is_rooted_below(process, c.data());
    return orphan;
  });
}

// Nothing runs there any more, and what was mounted went with its namespace.
void remove_run_folders(const std::string& run_root) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(run_root, ignored)) {
    if (entry.is_directory(ignored)) std::filesystem::remove_all(entry.path(), ignored);
  }
}

}  // namespace

Result<int> end_dev_orphans(const DevPlace& place) {
  std::set<std::string> spaces;
  int ended = 0;
  // Some start others before it is their turn.
  for (int round = 0; round < kMostRounds; round++) {
    auto orphans = find_orphans(place, spaces);
    if (orphans.empty()) {
      remove_run_folders(place.run_root);
      return ended;
    }
    ended += static_cast<int>(orphans.size());
    kill_and_await(orphans);
  }
  return make_error(Code::kTimeout, "processes of clusters whose namespaces are lost do not end");
}

}  // namespace knarr::cli
