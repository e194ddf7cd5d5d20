#include "server/manifests/manifest_folder.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/file.h"

namespace knarr::server {

namespace {

namespace fs = std::filesystem;

constexpr int64_t kSettle_ms = 200;  // an editor writes, renames, removes

bool is_manifest(const fs::path& path) {
  std::string extension = path.extension();
  return extension == ".yaml" || extension == ".yml" || extension == ".json";
}

bool is_hidden(const fs::path& path) { return path.filename().string().starts_with("."); }

}  // namespace

Result<std::map<std::string, ManifestFile>> read_manifest_folder(const std::string& folder) {
  std::map<std::string, ManifestFile> files;
  std::error_code error;
  fs::recursive_directory_iterator it(folder, error), end;
  for (; !error && it != end; it.increment(error)) {
    const fs::path& path = it->path();
    std::error_code none;
    bool is_folder = it->is_directory(none);
    if (is_hidden(path)) {
      if (is_folder) it.disable_recursion_pending();
      continue;
    }
    if (is_folder || !is_manifest(path)) continue;
    ManifestFile file;
    file.skipped = fs::exists(path.string() + ".skip", error);
    if (error) break;
    TRY_ASSIGN(file.text, base::read_file(path));
    files[path.lexically_relative(folder)] = std::move(file);
  }
  if (error) return errno_error(error.value(), "read " + folder);
  return files;
}

ManifestFolder::ManifestFolder(base::Loop& loop, std::string folder, std::function<void()> changed)
    : loop_(loop), folder_(std::move(folder)), settle_(loop.timer(std::move(changed))) {}

Result<void> ManifestFolder::watch() {
  TRY(base::make_dirs(folder_, 0700));
  inotify_.reset(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify_.valid()) return errno_error(errno, "inotify");
  watch_below(folder_);
  readable_ =
      std::make_unique<base::FdWatch>(loop_, inotify_.get(), UV_READABLE, [this](int) { drain(); });
  return {};
}

void ManifestFolder::watch_below(const std::string& folder) {
  // Adding a folder that is watched already changes nothing.
  inotify_add_watch(inotify_.get(), folder.c_str(),
                    IN_MODIFY | IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM |
                        IN_MOVED_TO | IN_ONLYDIR);
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (it->is_directory(ignored) && !it->is_symlink(ignored)) watch_below(it->path());
  }
}

void ManifestFolder::drain() {
  alignas(inotify_event) char events[4096];
  while (read(inotify_.get(), events, sizeof events) > 0) {
  }
  watch_below(folder_);
  settle_->start(kSettle_ms);
}

}  // namespace knarr::server
