// From what the pod asks and what the image says to what a shim starts. Pure.
#pragma once

#include <string>
#include <vector>

#include "knarr/result.h"
#include "runtime/cgroup.h"
#include "runtime/image/image.h"
#include "runtime/image/snapshot.h"
#include "runtime/spec.h"

namespace knarr::runtime {

// The command line: the pod's command replaces entrypoint and command, its args only the command.
// kInvalid when nothing is left.
Result<std::vector<std::string>> command_line(const ContainerConfig& config,
                                              const ImageConfig& image);

// PATH and HOSTNAME, the image's variables, the pod's; the later one of a name wins in place.
std::vector<std::string> environment(const ContainerConfig& config, const ImageConfig& image,
                                     const std::string& hostname);

struct LaunchInput {
  const SandboxRecord& sandbox;
  const ContainerRecord& container;
  const ImageConfig& image;
  const MountPlan& plan;
  const Cgroups& cgroups;
  std::string folder;
  int64_t log_max_bytes = 0;
  int log_max_files = 0;
  bool devices_limited = true;  // by its cgroup; if not, it may not make nodes of them either
};

Result<LaunchSpec> make_launch_spec(const LaunchInput& input);

// "SIGTERM", "TERM", "15"; 0 when it is none.
int signal_number(const std::string& text);

// In the words of `kubectl describe`, around what the start itself said.
std::string start_error_text(const std::string& cause);
// `command timed out: "sleep 5" timed out after 1s`
std::string exec_timeout_text(const std::vector<std::string>& argv, int64_t timeout_ms);
std::string exec_error_text(const std::string& exec_id, const std::string& cause);

}  // namespace knarr::runtime
