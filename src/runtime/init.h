// What a shim's child does between being forked and being the container's process. The child shares
// nothing with the shim but copied memory (shims have one thread), so it may allocate.
//
// It reports on a pipe that closes by itself when the program starts:
//   'I' JSON   who the process is going to be (containers)
//   'P' pid    the process, when a helper forked it (exec)
//   'E' text   why it could not start; the end
#pragma once

#include <string>

#include "knarr/result.h"
#include "runtime/image/user.h"
#include "runtime/spec.h"

namespace knarr::runtime {

struct ProcessFds {
  int in = -1;  // -1: /dev/null
  int out = -1;
  int err = -1;
  int console = -1;  // a socket that takes the terminal's master
  int status = -1;
};

json::Value to_json(const Identity& identity);
void from_json(const json::Value& value, Identity& identity);

// The container's first process. Already in new mount and (as configured) pid namespaces.
[[noreturn]] void run_container(const LaunchSpec& spec, std::string_view seccomp,
                                const ProcessFds& fds);

// A further process, given the pidfd of the container's first one.
[[noreturn]] void run_exec(const LaunchSpec& container, const Identity& identity,
                           const ExecSpec& spec, std::string_view seccomp, int container_pidfd,
                           const ProcessFds& fds);

// fork(2) with namespaces, into a cgroup when the folder's descriptor is >= 0. 0 in the child.
int fork_into(uint64_t flags, int cgroup_fd);

// As Go's exec.LookPath answers it, in the words runc uses.
Result<std::string> find_executable(const std::string& name, const std::vector<std::string>& env);

}  // namespace knarr::runtime
