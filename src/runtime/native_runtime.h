// knarr's own container runtime. Each pod has a shim: a process that outlives knarr, and is parent
// of the pod's containers (see shim.h). What knarr must find again after a restart stands in the
// state directory; what containers write to their root file systems, below the image store's root.
//
// Everything here runs on the loop thread, except what blocks: that runs on the runtime's own pool.
#pragma once

#include <memory>
#include <string>

#include "base/loop.h"
#include "knarr/random.h"
#include "knarr/runtime.h"

namespace knarr::runtime {

class ImageStore;
class Puller;
class SnapshotStore;

struct NativeOptions {
  std::string state_dir;              // on a tmpfs: "/run/knarr/runtime"
  std::string cgroup_root = "knarr";  // below each hierarchy's root
  std::string executable =
      "/proc/self/exe";              // run as "<executable> shim <folder>": calls shim_main
  std::string seccomp_profile_dir;   // of localhost profiles: "/var/lib/kubelet/seccomp"
  int64_t log_max_bytes = 10 << 20;  // of one log file, for containers that do not say
  int log_max_files = 5;
};

// The images must be open, and outlive the runtime; the snapshots are opened by list().
std::unique_ptr<Runtime> make_native_runtime(base::Loop& loop, Random& random, ImageStore& images,
                                             SnapshotStore& snapshots, Puller& puller,
                                             NativeOptions options);

}  // namespace knarr::runtime
