#include "agent/api/log_stream.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace knarr::agent {

namespace {

constexpr size_t kChunk = 64 * 1024;

}  // namespace

LogStream::LogStream(base::Loop& loop, net::ExchangePtr exchange, std::string path,
                     LogOptions options, std::function<bool()> running, std::function<void()> over)
    : loop_(loop),
      exchange_(std::move(exchange)),
      path_(std::move(path)),
      options_(options),
      filter_(options),
      running_(std::move(running)),
      over_(std::move(over)) {}

Result<std::shared_ptr<LogStream>> LogStream::start(base::Loop& loop, net::ExchangePtr exchange,
                                                    const std::string& path, LogOptions options,
                                                    std::function<bool()> running,
                                                    std::function<void()> over) {
  auto stream = std::make_shared<LogStream>(loop, std::move(exchange), path, std::move(options),
                                            std::move(running), std::move(over));
  TRY(stream->open());
  stream->exchange_->start(200, {{"Content-Type", "text/plain"}});
  // The exchange holds the stream until it is over.
  stream->exchange_->on_close([stream] { stream->finish(); });
  stream->exchange_->on_drain([weak = std::weak_ptr<LogStream>(stream)] {
    if (auto self = weak.lock()) {
      self->waiting_ = false;
      self->pump();
    }
  });
  stream->pump();
  return stream;
}

Result<void> LogStream::open() {
  file_.reset(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file_.valid()) return errno_error(errno, "open " + path_);
  int64_t begin = 0;
  if (options_.tail_lines >= 0) {
    TRY_ASSIGN(begin, tail_offset(file_.get(), options_.tail_lines));
  }
  lseek(file_.get(), begin, SEEK_SET);
  if (!options_.follow) return {};
  inotify_.reset(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify_.valid()) return errno_error(errno, "inotify");
  std::string folder = path_.substr(0, path_.rfind('/'));
  if (inotify_add_watch(inotify_.get(), path_.c_str(), IN_MODIFY) < 0 ||
      inotify_add_watch(inotify_.get(), folder.c_str(), IN_CREATE | IN_MOVED_TO) < 0) {
    return errno_error(errno, "watch " + path_);
  }
  watch_ = std::make_unique<base::FdWatch>(loop_, inotify_.get(), UV_READABLE, [this](int) {
    char events[4096];
    while (read(inotify_.get(), events, sizeof events) > 0) {
    }
    auto self = shared_from_this();
    pump();
  });
  return {};
}

void LogStream::pump() {
  char chunk[kChunk];
  while (!finished_ && !waiting_) {
    // Asked before the read: what a container wrote before it ended is in the file by then.
    bool more_may_come = options_.follow && running_();
    ssize_t n = read(file_.get(), chunk, sizeof chunk);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      if (reopen_rotated()) continue;
      if (!more_may_come) finish();
      return;
    }
    std::string text = filter_.feed({chunk, static_cast<size_t>(n)});
    if (!text.empty()) waiting_ = !exchange_->write(std::move(text));
    if (filter_.limit_reached()) finish();
  }
}

// The log was rotated: the name stands for another file now.
bool LogStream::reopen_rotated() {
  if (!options_.follow) return false;
  struct stat here, there;
  if (fstat(file_.get(), &here) != 0 || stat(path_.c_str(), &there) != 0) return false;
  if (here.st_ino == there.st_ino && here.st_dev == there.st_dev) return false;
  file_.reset(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  inotify_add_watch(inotify_.get(), path_.c_str(), IN_MODIFY);
  return file_.valid();
}

void LogStream::check() { pump(); }

void LogStream::finish() {
  if (std::exchange(finished_, true)) return;
  auto self = shared_from_this();
  // Not from within the watch's own call.
  loop_.defer([self] { self->watch_.reset(); });
  exchange_->finish();
  exchange_.reset();
  if (auto over = std::exchange(over_, nullptr)) over();
}

}  // namespace knarr::agent
