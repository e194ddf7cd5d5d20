#include "agent/cni/config_folder.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <set>

#include "base/file.h"
#include "base/log.h"

namespace knarr::agent {

namespace {

constexpr int64_t kSettleMs = 100;  // who writes a file writes, closes, renames
constexpr size_t kMostBytes = 1024 * 1024;

Result<CniConfig> read_config(const std::string& path, CniForm form) {
  std::error_code failed;
  auto size = std::filesystem::file_size(path, failed);
  if (failed) return errno_error(failed.value(), "read " + path);
  if (size > kMostBytes) return make_error(Code::kInvalid, path + ": too large");
  TRY_ASSIGN(std::string text, base::read_file(path));
  return parse_cni_config(text, form);
}

}  // namespace

std::optional<CniConfig> read_cni_folder(const std::string& folder) {
  std::set<std::string> names;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(folder, failed)) {
    names.insert(entry.path().filename());
  }
  for (const std::string& name : names) {
    auto form = cni_form_of(name);
    if (!form.ok()) continue;
    std::string path = folder + "/" + name;
    auto config = read_config(path, *form);
    if (config.ok()) return *std::move(config);
    base::log(base::Level::kWarning, "cni", "{}: {}", path, config.error().message);
  }
  return {};
}

CniConfigFolder::CniConfigFolder(base::Loop& loop, std::string folder,
                                 std::function<void()> changed)
    : loop_(loop),
      folder_(std::move(folder)),
      changed_(std::move(changed)),
      settle_(loop.timer([this] { read_again(); })) {}

Result<void> CniConfigFolder::start() {
  inotify_.reset(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify_.valid()) return errno_error(errno, "inotify");
  TRY(follow());
  readable_ =
      std::make_unique<base::FdWatch>(loop_, inotify_.get(), UV_READABLE, [this](int) { drain(); });
  current_ = read_cni_folder(folder_);
  return {};
}

Result<void> CniConfigFolder::follow() {
  TRY(base::make_dirs(folder_));
  constexpr uint32_t kEvents = IN_MODIFY | IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM |
                               IN_MOVED_TO | IN_MOVE_SELF | IN_ONLYDIR;
  if (inotify_add_watch(inotify_.get(), folder_.c_str(), kEvents) < 0) {
    return errno_error(errno, "follow " + folder_);
  }
  return {};
}

void CniConfigFolder::drain() {
  alignas(inotify_event) char events[4096];
  while (read(inotify_.get(), events, sizeof events) > 0) {
  }
  settle_->start(kSettleMs);
}

// The folder may have been taken away, or another be in its place.
void CniConfigFolder::read_again() {
  if (auto followed = follow(); !followed.ok()) {
    base::log(base::Level::kWarning, "cni", "{}", followed.error().message);
  }
  current_ = read_cni_folder(folder_);
  changed_();
}

}  // namespace knarr::agent
