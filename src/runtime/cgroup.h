// The node's cgroups: v1, v2, or both side by side (hybrid). A group is named by its path below our
// root ("kubepods/burstable/pod<uid>/<container>") and exists in every hierarchy we use.
//
// What the kernel or the machine does not offer is left out, with one line in the log: a container
// without a limit is better than none. Of devices the caller is told, because a limit that is not
// there must be made up for. Blocks (a little); any thread.
#pragma once

#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "knarr/result.h"
#include "knarr/runtime.h"
#include "runtime/cgroup_files.h"

namespace knarr::runtime {

// Where the hierarchies are mounted.
struct CgroupMounts {
  struct Hierarchy {
    std::string mount_point;
    std::string options;                   // as mounted: "cpu,cpuacct"
    std::vector<std::string> controllers;  // of those we use
  };
  std::vector<Hierarchy> v1;
  std::string unified;  // mount point of v2; empty when there is none
};

// From the text of /proc/self/mountinfo.
CgroupMounts parse_cgroup_mounts(std::string_view mountinfo);

class Cgroups {
 public:
  Cgroups(CgroupMounts mounts, std::string root)
      : mounts_(std::move(mounts)), root_(std::move(root)) {}
  static Cgroups of_this_machine(std::string root);

  const CgroupMounts& mounts() const { return mounts_; }
  bool v2_only() const { return mounts_.v1.empty(); }

  // Makes the group and those above it, and sets its limits.
  Result<void> create(const std::string& path, const Resources& resources, bool leaf) const;
  // The devices that an existing group may use. False when this could not be brought into force.
  bool limit_devices(const std::string& path, const std::vector<DeviceRule>& rules) const;
  Result<void> update(const std::string& path, const Resources& resources) const;
  // Kills what is in it and below.
  void kill(const std::string& path) const;
  // The group and those below it; what is in them is killed first. Parents are left.
  void remove(const std::string& path) const;
  // Names of the groups right below it, in any hierarchy.
  std::set<std::string> children(const std::string& path) const;
  // Removes every group below our root, and the root.
  void remove_all() const { remove(""); }

  // For a process that joins: v1's "tasks" files; v2's folder.
  std::vector<std::string> tasks_files(const std::string& path) const;
  std::string unified_folder(const std::string& path) const;
  std::string memory_events_file(const std::string& path) const;
  std::vector<std::string> shown_controllers() const;

  Usage usage(const std::string& path) const;

 private:
  std::string folder(const std::string& mount_point, const std::string& path) const;
  const CgroupMounts::Hierarchy* hierarchy(std::string_view controller) const;
  Result<void> enable_controllers(const std::string& path) const;
  // False when it was refused.
  bool set(const std::string& file, const std::string& value) const;
  void for_each_folder(const std::string& path,
                       const std::function<void(const std::string&)>& fn) const;

  CgroupMounts mounts_;
  std::string root_;
};

}  // namespace knarr::runtime
