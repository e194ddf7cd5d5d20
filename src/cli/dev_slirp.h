// slirp4netns: the way between an ordinary user's network namespace and the machine's network, a
// program that speaks TCP and UDP outside for what leaves the namespace, and lets forwarded ports
// in. Source: slirp4netns(1), with its API socket. Blocking: commands only.
#pragma once

#include <string>

#include "base/unique_fd.h"
#include "knarr/result.h"

namespace knarr::cli {

class DevSlirp {
 public:
  static constexpr char kNameServer[] = "10.0.2.3";  // forwards to the machine's

  explicit DevSlirp(std::string run_root) : run_root_(std::move(run_root)) {}

  // Starts it for the namespaces of process `pid`, ready when this returns. It ends when the other
  // end of the pipe `life` is closed.
  Result<int> start(int pid, const base::UniqueFd& life) const;

  // A port of the machine's `host_address` leads to the same one in the namespace.
  Result<void> forward(const std::string& host_address, int port,
                       const std::string& protocol) const;
  Result<void> unforward(int port, const std::string& protocol) const;

 private:
  std::string socket_path() const { return run_root_ + "/slirp.sock"; }
  std::string log_path() const { return run_root_ + "/slirp.log"; }

  std::string run_root_;
};

}  // namespace knarr::cli
