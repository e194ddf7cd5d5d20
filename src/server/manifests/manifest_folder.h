// The folder of manifests: what is in it, and word when that changes. Loop thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/loop.h"
#include "base/unique_fd.h"
#include "knarr/result.h"

namespace knarr::server {

struct ManifestFile {
  std::string text;
  bool skipped = false;  // "<name>.skip" lies beside it: leave what it has as it is
};

// Every .yaml, .yml and .json of the folder and those below it, by its path from there, without
// hidden ones. All of them or an error: who does not see a file takes its objects for unwanted.
Result<std::map<std::string, ManifestFile>> read_manifest_folder(const std::string& folder);

class ManifestFolder {
 public:
  // `changed` is called a moment after the last of a row of changes.
  ManifestFolder(base::Loop& loop, std::string folder, std::function<void()> changed);
  Result<void> watch();

 private:
  void watch_below(const std::string& folder);
  void drain();

  base::Loop& loop_;
  std::string folder_;
  base::UniqueFd inotify_;
  std::unique_ptr<base::FdWatch> readable_;
  std::unique_ptr<Timer> settle_;
};

}  // namespace knarr::server
