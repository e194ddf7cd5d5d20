// A command's streams in a pod: exec and attach over WebSocket (v5.channel.k8s.io), the local
// terminal raw while it lasts. Runs a loop of its own until the command ends.
#pragma once

#include <string>

#include "cli/kubectl/kubeconfig.h"
#include "knarr/result.h"

namespace knarr::kubectl {

struct RemoteStreams {
  std::string target;  // path and query of the exec or attach subresource
  bool stdin_open = false;
  bool tty = false;
  bool quiet_hint = true;  // no "If you don't see a command prompt ..."
};

// The exit status of the command. Errors: the server's Status, or a transport's.
Result<int> run_remote(const ClientConfig& config, const RemoteStreams& streams);

// Path and query of the attach subresource. Pure.
std::string attach_target(const std::string& ns, const std::string& pod,
                          const std::string& container, bool stdin_open, bool tty);

// The Status that ends a stream: the command's exit status, or why there is none. Pure.
Result<int> exit_status(std::string_view status);

}  // namespace knarr::kubectl
