#include "runtime/cri_log.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "base/time.h"

namespace knarr::runtime {

namespace {

constexpr size_t kMaxLine = 16 * 1024;

// Rotated files of the log, oldest first: "<log>.20260102-030405".
std::vector<std::string> rotated_files(const std::string& path) {
  size_t slash = path.rfind('/');
  std::string folder = path.substr(0, slash + 1);
  std::string prefix = path.substr(slash + 1) + ".";
  std::vector<std::string> found;
  DIR* dir = opendir(folder.c_str());
  if (dir == nullptr) return found;
  while (dirent* entry = readdir(dir)) {
    if (std::string_view(entry->d_name).starts_with(prefix))
      found.push_back(folder + entry->d_name);
  }
  closedir(dir);
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace

void LineSplitter::add(std::string_view bytes, const Emit& emit) {
  while (!bytes.empty()) {
    size_t newline = bytes.find('\n');
    bool whole = newline != std::string_view::npos;
    std::string_view part = bytes.substr(0, newline);
    bytes.remove_prefix(whole ? newline + 1 : bytes.size());
    std::string_view line = part;
    if (!pending_.empty()) line = pending_.append(part);
    while (line.size() > kMaxLine) {
      emit(line.substr(0, kMaxLine), true);
      line.remove_prefix(kMaxLine);
    }
    if (whole) emit(line, false);
    pending_ = whole ? std::string() : std::string(line);
  }
}

void LineSplitter::finish(const Emit& emit) {
  if (!pending_.empty()) emit(pending_, true);
  pending_.clear();
}

Result<void> CriLog::open(std::string path, int64_t max_bytes, int max_files) {
  path_ = std::move(path);
  max_bytes_ = max_bytes;
  max_files_ = max_files;
  return reopen();
}

Result<void> CriLog::reopen() {
  if (path_.empty()) return {};
  base::UniqueFd fd(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
  if (!fd.valid()) return errno_error(errno, "open log " + path_);
  struct stat info;
  size_ = fstat(fd.get(), &info) == 0 ? info.st_size : 0;
  fd_ = std::move(fd);
  return {};
}

void CriLog::write(Source source, std::string_view bytes, int64_t now_ns) {
  if (!fd_.valid()) return;
  splitters_[static_cast<int>(source)].add(
      bytes, [&](std::string_view line, bool partial) { append(source, line, partial, now_ns); });
  flush();
  if (max_bytes_ > 0 && size_ > max_bytes_) rotate(now_ns);
}

void CriLog::finish(int64_t now_ns) {
  for (Source source : {Source::kStdout, Source::kStderr}) {
    splitters_[static_cast<int>(source)].finish(
        [&](std::string_view line, bool partial) { append(source, line, partial, now_ns); });
  }
  flush();
  fd_.reset();
}

void CriLog::append(Source source, std::string_view line, bool partial, int64_t now_ns) {
  if (!fd_.valid()) return;
  batch_ += base::format_nano_time(now_ns);
  batch_ += source == Source::kStdout ? " stdout " : " stderr ";
  batch_ += partial ? "P " : "F ";
  batch_ += line;
  batch_ += '\n';
}

// A full disk loses log lines; the container goes on.
void CriLog::flush() {
  std::string_view rest = batch_;
  while (!rest.empty()) {
    ssize_t n = ::write(fd_.get(), rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    size_ += n;
    rest.remove_prefix(static_cast<size_t>(n));
  }
  batch_.clear();
}

void CriLog::rotate(int64_t now_ns) {
  time_t seconds = now_ns / 1000000000;
  tm parts;
  gmtime_r(&seconds, &parts);
  char stamp[32];
  strftime(stamp, sizeof stamp, ".%Y%m%d-%H%M%S", &parts);
  std::string target = path_ + stamp;
  if (access(target.c_str(), F_OK) == 0) return;  // twice in a second: with the next write
  if (rename(path_.c_str(), target.c_str()) != 0) return;
  if (!reopen().ok()) return;  // goes on in the renamed file
  std::vector<std::string> old = rotated_files(path_);
  size_t keep = static_cast<size_t>(std::max(max_files_ - 1, 0));
  for (size_t i = 0; i + keep < old.size(); i++) unlink(old[i].c_str());
}

}  // namespace knarr::runtime
