// Archives that somebody put into a folder of the node before it started are imported: *.tar,
// *.tar.gz,
// *.tgz, *.tar.zst, *.tzst. What was imported is remembered by size and time of its file, so that a
// later start takes only what is new or changed, or what of it has been removed since.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "knarr/result.h"

namespace knarr::runtime {
class ImageStore;
}

namespace knarr::agent {

struct ArchiveFile {
  std::string name;
  int64_t size_bytes = 0;
  int64_t changed_ns = 0;
  bool operator==(const ArchiveFile&) const = default;
};

// What an earlier start imported, by the name of the file.
struct ImportedArchive {
  ArchiveFile file;
  std::vector<std::string> images;  // ids
};
using ImportRecord = std::map<std::string, ImportedArchive>;

bool is_image_archive(const std::string& name);
// Sorted by name. Blocks.
std::vector<ArchiveFile> archives_in(const std::string& folder);
ImportRecord parse_import_record(const std::string& text);
std::string write_import_record(const ImportRecord& record);

class Preload {
 public:
  Preload(runtime::ImageStore& images, std::string folder);
  ~Preload();

  // Imports what is new, one after the other; an archive that can't be read is logged and passed
  // over. `done` with the ids of all that came from the folder.
  void run(std::function<void(std::set<std::string> ids)> done);

 private:
  void next();
  bool known(const ArchiveFile& file) const;
  std::string record_path() const { return folder_ + "/imported.json"; }

  runtime::ImageStore& images_;
  std::string folder_;
  ImportRecord record_;
  std::deque<ArchiveFile> left_;
  bool changed_ = false;
  std::function<void(std::set<std::string>)> done_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace knarr::agent
