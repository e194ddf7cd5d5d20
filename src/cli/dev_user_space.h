// `knarr dev` without root: user, mount, network, IPC and (where systemd's user manager delegates
// one) cgroup namespaces of the user's own, in which he is root. A process, the keeper, holds them
// from the first `up` until the last cluster ends; slirp4netns joins their network to the
// machine's. A command enters them and goes on as root's does; what it starts stays there. Source:
// user_namespaces(7), newuidmap(1). Blocking; one thread.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "knarr/result.h"

namespace knarr::cli {

class DevUserSpace {
 public:
  // `run_root`: the user's folder for what ends with the machine; it is there.
  explicit DevUserSpace(std::string run_root) : run_root_(std::move(run_root)) {}

  // Whether a process keeps them.
  bool kept() const { return read_record().keeper != 0; }
  // Makes the namespaces if there are none, or to start in them none with a network. An error says
  // what the machine lacks.
  Result<void> ensure(bool to_start) const;
  // Into them, for good, to start nodes there (then cgroups as well) or only to look and remove.
  Result<void> enter(bool to_start) const;
  // Ends the keeper and slirp4netns, and so, with the last process in them, the namespaces.
  Result<void> end() const;

 private:
  struct Record {
    int keeper = 0, slirp = 0;
  };
  std::string record_path() const { return run_root_ + "/namespaces"; }
  Record read_record() const;  // of those that still run
  Result<void> map_ids(pid_t keeper) const;
  Result<void> start(pid_t keeper, int go, int said) const;

  std::string run_root_;
};

// What resolv.conf(5) is to nodes in there.
std::string dev_resolv_conf(const std::string& run_root);

// This process moves to a cgroup of its own that it may divide, if systemd's user manager makes
// one. False: pods will have no limits.
bool enter_delegated_cgroup();

}  // namespace knarr::cli
