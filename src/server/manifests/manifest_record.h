// What was applied, file by file, kept on disk: so that what a file no longer has is known even
// when it was changed while nobody looked.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "server/manifests/manifest.h"

namespace knarr::server {

class ManifestRecord {
 public:
  // What is kept in the file at `path`; nothing when there is none. Error kInternalError: it is
  // there and cannot be read.
  Result<void> load(const std::string& path);
  // On disk when it returns. Nothing is written when nothing has changed.
  Result<void> save();

  const std::map<std::string, std::vector<ManifestRef>>& files() const { return files_; }
  // `refs` and what was there: objects that are about to be made.
  void add(const std::string& file, const std::vector<ManifestRef>& refs);
  // `refs` alone: what else there was is gone.
  void set(const std::string& file, std::vector<ManifestRef> refs);

 private:
  std::string path_;
  std::string saved_;
  std::map<std::string, std::vector<ManifestRef>> files_;
};

}  // namespace knarr::server
