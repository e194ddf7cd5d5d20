#include "agent/network/in_namespace.h"

#include <fcntl.h>
#include <sched.h>

#include <cerrno>

#include "knarr/check.h"

namespace knarr::agent {

Result<std::unique_ptr<InNamespace>> InNamespace::enter(int target, const std::string& path) {
  base::UniqueFd home(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!home.valid()) return errno_error(errno, "open the own network namespace");
  if (setns(target, CLONE_NEWNET) != 0) return errno_error(errno, "enter " + path);
  return std::unique_ptr<InNamespace>(new InNamespace(std::move(home)));
}

// A thread that can't come home would change the pod instead of the host.
InNamespace::~InNamespace() { CHECK(setns(home_.get(), CLONE_NEWNET) == 0); }

}  // namespace knarr::agent
