#include "agent/preload.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "runtime/image/image_store.h"

namespace knarr::agent {

using json::Value;

bool is_image_archive(const std::string& name) {
  if (name.starts_with('.')) return false;
  for (const char* end : {".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst"}) {
    if (name.ends_with(end)) return true;
  }
  return false;
}

std::vector<ArchiveFile> archives_in(const std::string& folder) {
  std::vector<ArchiveFile> files;
  DIR* dir = opendir(folder.c_str());
  if (dir == nullptr) return files;
  while (dirent* entry = readdir(dir)) {
    struct stat info;
    if (!is_image_archive(entry->d_name)) continue;
    if (stat((folder + "/" + entry->d_name).c_str(), &info) != 0 || !S_ISREG(info.st_mode))
      continue;
    files.push_back(
        {entry->d_name, static_cast<int64_t>(info.st_size),
         static_cast<int64_t>(info.st_mtim.tv_sec) * 1000000000 + info.st_mtim.tv_nsec});
  }
  closedir(dir);
  std::sort(files.begin(), files.end(),
            [](const ArchiveFile& a, const ArchiveFile& b) { return a.name < b.name; });
  return files;
}

ImportRecord parse_import_record(const std::string& text) {
  ImportRecord record;
  auto value = json::parse(text);
  if (!value.ok()) return record;
  for (auto [name, entry] : (*value)["archives"].members()) {
    ImportedArchive& archive = record[std::string(name)];
    archive.file = {std::string(name), entry["size"].as_int(), entry["changed"].as_int()};
    for (const Value& id : entry["images"].elements()) archive.images.push_back(id.text());
  }
  return record;
}

std::string write_import_record(const ImportRecord& record) {
  Value archives = Value::object();
  for (const auto& [name, archive] : record) {
    Value images = Value::array();
    for (const std::string& id : archive.images) images.push_back(id);
    archives.set(name, Value::object({{"size", archive.file.size_bytes},
                                      {"changed", archive.file.changed_ns},
                                      {"images", std::move(images)}}));
  }
  return json::write(Value::object({{"archives", std::move(archives)}}));
}

Preload::Preload(runtime::ImageStore& images, std::string folder)
    : images_(images), folder_(std::move(folder)) {}

Preload::~Preload() { *alive_ = false; }

bool Preload::known(const ArchiveFile& file) const {
  auto it = record_.find(file.name);
  if (it == record_.end() || !(it->second.file == file)) return false;
  return std::all_of(it->second.images.begin(), it->second.images.end(),
                     [this](const std::string& id) { return images_.find(id) != nullptr; });
}

void Preload::run(std::function<void(std::set<std::string>)> done) {
  done_ = std::move(done);
  auto text = base::read_file(record_path());
  if (text.ok()) record_ = parse_import_record(*text);
  std::vector<ArchiveFile> files = archives_in(folder_);
  size_t before = record_.size();
  std::erase_if(record_, [&](const auto& entry) {
    return std::none_of(files.begin(), files.end(),
                        [&](const ArchiveFile& f) { return f.name == entry.first; });
  });
  changed_ = record_.size() != before;
  for (const ArchiveFile& file : files) {
    if (!known(file)) left_.push_back(file);
  }
  next();
}

void Preload::next() {
  if (left_.empty()) {
    if (changed_) {
      auto written = base::write_file(record_path(), write_import_record(record_), 0600);
      if (!written.ok()) base::log(base::Level::kWarning, "agent", "{}", written.error().message);
    }
    std::set<std::string> ids;
    for (const auto& [name, archive] : record_) {
      ids.insert(archive.images.begin(), archive.images.end());
    }
    return std::exchange(done_, nullptr)(std::move(ids));
  }
  ArchiveFile file = std::move(left_.front());
  left_.pop_front();
  std::string path = folder_ + "/" + file.name;
  images_.import(path, [this, alive = std::weak_ptr<bool>(alive_), path,
                        file](Result<std::vector<runtime::ImageRef>> images) {
    if (alive.expired()) return;
    changed_ = true;
    record_.erase(file.name);
    if (images.ok()) {
      ImportedArchive& archive = record_[file.name];
      archive.file = file;
      for (const runtime::ImageRef& image : *images) archive.images.push_back(image->id);
      base::log(base::Level::kInfo, "agent", "imported {} images from {}", images->size(), path);
    } else {
      base::log(base::Level::kError, "agent", "import {}: {}", path, images.error().message);
    }
    next();
  });
}

}  // namespace knarr::agent
