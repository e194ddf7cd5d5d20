// The folder of network configurations (/etc/cni/net.d), followed for changes: of its files in
// lexical order the first that is valid counts. Made when it is not there. Loop thread; no polling.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "agent/cni/config.h"
#include "base/loop.h"
#include "base/unique_fd.h"

namespace knarr::agent {

// Files that are not valid are logged.
std::optional<CniConfig> read_cni_folder(const std::string& folder);

class CniConfigFolder {
 public:
  CniConfigFolder(base::Loop& loop, std::string folder, std::function<void()> changed);

  // Reads it, and follows it from then on.
  Result<void> start();
  const std::optional<CniConfig>& current() const { return current_; }

 private:
  Result<void> follow();
  void drain();
  void read_again();

  base::Loop& loop_;
  std::string folder_;
  std::function<void()> changed_;
  std::optional<CniConfig> current_;
  base::UniqueFd inotify_;
  std::unique_ptr<base::FdWatch> readable_;
  std::unique_ptr<Timer> settle_;
};

}  // namespace knarr::agent
