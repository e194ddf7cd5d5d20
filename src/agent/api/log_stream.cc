#include "agent/api/log_stream.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace knarr::agent {

namespace {

constexpr size_t kChunk = 64 * 1024;
constexpr size_t kPiece = 256 * 1024;  // of text, before the peer gets some

}  // namespace

struct LogStream::Reader {
  explicit Reader(const LogOptions& options) : filter(options) {}

  // Text of the next bytes; at_end when there are no more now.
  std::string next(size_t most_bytes) {
    std::string text;
    char chunk[kChunk];
    while (text.size() < most_bytes && !filter.limit_reached()) {
      ssize_t n = read(file.get(), chunk, sizeof chunk);
      if (n < 0 && errno == EINTR) continue;
      at_end = n <= 0;
      if (at_end) break;
      text += filter.feed({chunk, static_cast<size_t>(n)});
    }
    return text;
  }

  base::UniqueFd file;
  LogFilter filter;
  bool at_end = false;
  std::string text;
};

LogStream::LogStream(base::Loop& loop, Offload& offload, net::ExchangePtr exchange, Source source,
                     LogOptions options, std::function<void()> over)
    : loop_(loop),
      offload_(offload),
      exchange_(std::move(exchange)),
      source_(std::move(source)),
      options_(options),
      over_(std::move(over)),
      reader_(std::make_shared<Reader>(options)) {}

Result<std::shared_ptr<LogStream>> LogStream::start(base::Loop& loop, Offload& offload,
                                                    net::ExchangePtr exchange, Source source,
                                                    LogOptions options,
                                                    std::function<void()> over) {
  auto stream = std::make_shared<LogStream>(loop, offload, std::move(exchange), std::move(source),
                                            std::move(options), std::move(over));
  TRY(stream->open());
  stream->exchange_->start(200, {{"Content-Type", "text/plain"}});
  // The exchange holds the stream until it is over.
  stream->exchange_->on_close([stream] { stream->finish(); });
  stream->exchange_->on_drain([weak = std::weak_ptr<LogStream>(stream)] {
    if (auto self = weak.lock()) {
      self->waiting_ = false;
      self->go_on();
    }
  });
  if (stream->options_.tail_lines >= 0) {
    stream->seek();
  } else {
    stream->state_ = State::kCatchingUp;
    stream->go_on();
  }
  return stream;
}

Result<void> LogStream::open() {
  const std::string& path = source_.path;
  reader_->file.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!reader_->file.valid()) return errno_error(errno, "open " + path);
  if (!options_.follow) return {};
  inotify_.reset(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify_.valid()) return errno_error(errno, "inotify");
  std::string folder = path.substr(0, path.rfind('/'));
  if (inotify_add_watch(inotify_.get(), path.c_str(), IN_MODIFY) < 0 ||
      inotify_add_watch(inotify_.get(), folder.c_str(), IN_CREATE | IN_MOVED_TO) < 0) {
    return errno_error(errno, "watch " + path);
  }
  watch_ = std::make_unique<base::FdWatch>(loop_, inotify_.get(), UV_READABLE, [this](int) {
    char events[4096];
    while (read(inotify_.get(), events, sizeof events) > 0) {
    }
    auto self = shared_from_this();
    go_on();
  });
  return {};
}

void LogStream::seek() {
  busy_ = true;
  auto work = [reader = reader_, lines = options_.tail_lines]() -> Result<void> {
    TRY_ASSIGN(int64_t begin, tail_offset(reader->file.get(), lines));
    lseek(reader->file.get(), begin, SEEK_SET);
    return {};
  };
  offload_.run("", work, [weak = weak_from_this()](const Result<void>& result) {
    auto self = weak.lock();
    if (!self) return;
    self->busy_ = false;
    if (self->state_ == State::kOver) return;
    if (!result.ok()) return self->finish();
    self->state_ = State::kCatchingUp;
    self->go_on();
  });
}

void LogStream::go_on() {
  if (busy_ || waiting_) return;
  if (state_ == State::kCatchingUp) return read_piece();
  if (state_ == State::kFollowing) follow();
}

void LogStream::read_piece() {
  busy_ = true;
  auto work = [reader = reader_]() -> Result<void> {
    reader->text = reader->next(kPiece);
    return {};
  };
  offload_.run("", work, [weak = weak_from_this()](const Result<void>&) {
    auto self = weak.lock();
    if (!self) return;
    self->busy_ = false;
    if (self->state_ != State::kOver) self->piece_read(self->reader_->at_end);
  });
}

void LogStream::piece_read(bool at_end) {
  std::string text = std::exchange(reader_->text, {});
  if (!text.empty()) waiting_ = !exchange_->write(std::move(text));
  if (reader_->filter.limit_reached()) return finish();
  if (at_end && !options_.follow) return finish();
  if (at_end) state_ = State::kFollowing;
  go_on();
}

void LogStream::follow() {
  while (state_ == State::kFollowing && !waiting_) {
    // Asked before the read: what a container wrote before it ended is in the file by then.
    bool more_may_come = source_.running();
    std::string text = reader_->next(kChunk);
    if (!text.empty()) waiting_ = !exchange_->write(std::move(text));
    if (reader_->filter.limit_reached()) return finish();
    if (!reader_->at_end || reopen_rotated()) continue;
    if (!more_may_come) finish();
    return;
  }
}

// The log was rotated: the name stands for another file now.
bool LogStream::reopen_rotated() {
  struct stat here, there;
  const char* path = source_.path.c_str();
  if (fstat(reader_->file.get(), &here) != 0 || stat(path, &there) != 0) return false;
  if (here.st_ino == there.st_ino && here.st_dev == there.st_dev) return false;
  reader_->file.reset(::open(path, O_RDONLY | O_CLOEXEC));
  inotify_add_watch(inotify_.get(), path, IN_MODIFY);
  return reader_->file.valid();
}

void LogStream::check() { go_on(); }

void LogStream::finish() {
  if (std::exchange(state_, State::kOver) == State::kOver) return;
  auto self = shared_from_this();
  // Not from within the watch's own call.
  loop_.defer([self] { self->watch_.reset(); });
  exchange_->finish();
  exchange_.reset();
  if (auto over = std::exchange(over_, nullptr)) over();
}

}  // namespace knarr::agent
