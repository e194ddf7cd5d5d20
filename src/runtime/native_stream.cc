#include "runtime/native_stream.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>

#include <cerrno>

namespace knarr::runtime {

ProcessStream::ProcessStream(NativeRuntime& runtime, std::string container, std::string exec_id,
                             Ends ends, StreamListener& listener)
    : runtime_(runtime),
      container_(std::move(container)),
      exec_id_(std::move(exec_id)),
      tty_(ends.tty),
      takes_input_(ends.takes_input),
      listener_(listener),
      input_(std::move(ends.in)),
      runtime_alive_(runtime.alive_) {
  sources_[0].fd = std::move(ends.out);
  sources_[1].fd = std::move(ends.err);
  for (int fd : {input_.get(), sources_[0].fd.get(), sources_[1].fd.get()}) {
    if (fd >= 0) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  }
  if (exec_id_.empty()) {
    runtime_.attached_.insert(this);
  } else {
    runtime_.execs_[exec_id_] = this;
  }
}

ProcessStream::~ProcessStream() {
  *self_ = false;
  std::shared_ptr<bool> alive = runtime_alive_.lock();
  if (alive == nullptr || !*alive) return;
  if (exec_id_.empty()) {
    if (input_.valid()) end_container_input();
    runtime_.attached_.erase(this);
    return;
  }
  runtime_.execs_.erase(exec_id_);
  if (exit_code_) return;
  NativeRuntime::Container* container = runtime_.find_container(container_);
  std::shared_ptr<ShimClient> shim = container == nullptr ? nullptr : runtime_.shim_of(*container);
  if (shim == nullptr) return;
  Message message;
  message.body.set("id", exec_id_).set("signal", static_cast<int64_t>(SIGKILL));
  shim->tell("signal_exec", std::move(message));
}

void ProcessStream::start() {
  started_ = true;
  for (int i = 0; i < 2; i++) {
    if (!sources_[i].fd.valid()) continue;
    sources_[i].watch = std::make_unique<base::FdWatch>(runtime_.loop_, sources_[i].fd.get(),
                                                        paused_ ? 0 : UV_READABLE,
                                                        [this, i](int) { read_source(i); });
  }
  drain_and_end();
}

void ProcessStream::read_source(int index) {
  std::shared_ptr<bool> self = self_;
  read_once(index);
  if (*self) drain_and_end();
}

bool ProcessStream::read_once(int index) {
  Source& source = sources_[index];
  if (!source.fd.valid()) return false;
  char buffer[32768];
  ssize_t n = read(source.fd.get(), buffer, sizeof buffer);
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return errno == EINTR;
  if (n <= 0) {
    source.watch.reset();
    source.fd.reset();
    return false;
  }
  std::string_view bytes(buffer, static_cast<size_t>(n));
  if (index == 0) {
    listener_.on_stdout(bytes);
  } else {
    listener_.on_stderr(bytes);
  }
  return true;
}

void ProcessStream::drain_and_end() {
  bool known = exit_code_.has_value();
  if (!known || ended_ || !started_ || paused_) return;
  std::shared_ptr<bool> self = self_;
  for (int i = 0; i < 2; i++) {
    while (*self && !paused_ && read_once(i)) {
    }
    if (!*self || paused_) return;
    // The shim closes an attacher's pipes when all is in them: until then there may be more.
    if (exec_id_.empty() && sources_[i].fd.valid()) return;
  }
  ended_ = true;
  for (Source& source : sources_) source.watch.reset();
  listener_.on_exit(*exit_code_);
}

void ProcessStream::process_exited(int code) {
  exit_code_ = code;
  drain_and_end();
}

void ProcessStream::container_exited(const std::string& id, int code) {
  if (id == container_) process_exited(code);
}

void ProcessStream::write_stdin(std::string_view bytes, std::function<void()> written) {
  if (!input_.valid() || !takes_input_) {
    if (written) runtime_.loop_.defer(std::move(written));
    return;
  }
  to_write_.emplace_back(std::string(bytes), std::move(written));
  write_some();
}

void ProcessStream::write_some() {
  std::shared_ptr<bool> self = self_;
  while (!to_write_.empty()) {
    auto& [bytes, written] = to_write_.front();
    ssize_t n = bytes.empty() ? 0 : write(input_.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) break;
    bytes.erase(0, n < 0 ? bytes.size() : static_cast<size_t>(n));  // nobody reads: it is gone
    if (!bytes.empty()) continue;
    std::function<void()> fn = std::move(written);
    to_write_.pop_front();
    if (fn) fn();
    if (!*self) return;
  }
  if (!to_write_.empty() && input_watch_ == nullptr) {
    input_watch_ = std::make_unique<base::FdWatch>(runtime_.loop_, input_.get(), UV_WRITABLE,
                                                   [this](int) { write_some(); });
  }
  if (to_write_.empty()) input_watch_.reset();
  if (!to_write_.empty() || !close_input_) return;
  input_.reset();
  if (exec_id_.empty()) end_container_input();
}

// The end of a container's own input is the shim's to make: it holds the pipe open for the next one
// who attaches, unless stdinOnce says that this was the last.
void ProcessStream::close_stdin() {
  if (!input_.valid() || tty_) return;
  close_input_ = true;
  write_some();
}

// The pipe ends when its last holder lets go: the shim, and everybody attached.
void ProcessStream::end_container_input() {
  NativeRuntime::Container* container = runtime_.find_container(container_);
  if (container == nullptr || !container->record.config.stdin_once || tty_) return;
  for (ProcessStream* other : runtime_.attached_) {
    if (other->container_ != container_) continue;
    other->input_watch_.reset();
    other->input_.reset();
  }
  if (std::shared_ptr<ShimClient> shim = runtime_.shim_of(*container)) {
    Message message;
    message.body.set("id", container_);
    shim->tell("close_stdin", std::move(message));
  }
}

void ProcessStream::resize(uint16_t columns, uint16_t rows) {
  winsize size{};
  size.ws_col = columns;
  size.ws_row = rows;
  if (tty_ && input_.valid()) ioctl(input_.get(), TIOCSWINSZ, &size);
}

void ProcessStream::pause() {
  paused_ = true;
  for (Source& source : sources_) {
    if (source.watch) source.watch->set_events(0);
  }
}

void ProcessStream::resume() {
  paused_ = false;
  for (Source& source : sources_) {
    if (source.watch) source.watch->set_events(UV_READABLE);
  }
  std::weak_ptr<bool> self = self_;
  if (exit_code_) {
    runtime_.loop_.defer([this, self] {
      if (std::shared_ptr<bool> alive = self.lock(); alive && *alive) drain_and_end();
    });
  }
}

}  // namespace knarr::runtime
