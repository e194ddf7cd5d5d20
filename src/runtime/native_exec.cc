// Processes beside a container's first one, and connections into a pod.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/format.h"
#include "runtime/launch.h"
#include "runtime/native.h"
#include "runtime/native_stream.h"

namespace knarr::runtime {

namespace {

constexpr size_t kMaxSyncOutput = 10 * 1024;

struct Pipe {
  base::UniqueFd read;
  base::UniqueFd write;
};

Result<Pipe> make_pipe() {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return errno_error(errno, "pipe");
  return Pipe{base::UniqueFd(fds[0]), base::UniqueFd(fds[1])};
}

base::UniqueFd duplicate(const base::UniqueFd& fd) {
  return base::UniqueFd(fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
}

}  // namespace

// exec_sync: one run, its output collected up to the cap, a clock beside it. The runtime's, until
// it is over.
class SyncExec final : public StreamListener, public std::enable_shared_from_this<SyncExec> {
 public:
  SyncExec(NativeRuntime& runtime, Callback<ExecResult> done)
      : runtime_(runtime), done_(std::move(done)) {}

  void on_stdout(std::string_view bytes) override {
    size_t room = kMaxSyncOutput - std::min(kMaxSyncOutput, result_.output.size());
    result_.output += bytes.substr(0, room);
  }
  void on_stderr(std::string_view bytes) override { on_stdout(bytes); }
  void on_exit(Result<int> code) override {
    if (!code.ok()) return finish(code.error());
    result_.exit_code = *code;
    finish(std::move(result_));
  }

  void begin(const std::vector<std::string>& argv, int64_t timeout_ms) {
    runtime_.sync_execs_.insert(shared_from_this());
    if (timeout_ms <= 0) return;
    timer_ = runtime_.loop_.timer([this, text = exec_timeout_text(argv, timeout_ms)] {
      finish(make_error(Code::kTimeout, text));
    });
    timer_->start(timeout_ms);
  }
  void started(Result<std::unique_ptr<Stream>> stream) {
    if (!stream.ok()) return finish(stream.error());
    if (done_) stream_ = std::move(*stream);  // else it is late: dropped, which kills it
  }

 private:
  void finish(Result<ExecResult> result) {
    if (!done_) return;
    Callback<ExecResult> done = std::exchange(done_, nullptr);
    timer_.reset();
    // Not from within the stream's own call; till then it is the runtime's.
    runtime_.loop_.defer([alive = std::weak_ptr<bool>(runtime_.alive_), self = weak_from_this()] {
      std::shared_ptr<SyncExec> run = self.lock();
      if (!alive.expired() && run) run->runtime_.sync_execs_.erase(run);
    });
    done(std::move(result));
  }

  NativeRuntime& runtime_;
  Callback<ExecResult> done_;
  ExecResult result_;
  std::unique_ptr<Timer> timer_;
  std::unique_ptr<Stream> stream_;
};

void NativeRuntime::exec(const std::string& id, ExecOptions options, StreamListener& listener,
                         Callback<std::unique_ptr<Stream>> done) {
  Container* container = find_container(id);
  if (container == nullptr) {
    return done(make_error(Code::kNotFound, fmt::format("container \"{}\" not found", id)));
  }
  std::shared_ptr<ShimClient> shim = shim_of(*container);
  if (shim == nullptr || container->progress.state != ContainerState::kRunning) {
    return done(make_error(Code::kNotFound, "container not running (" + id + ")"));
  }
  if (options.argv.empty()) return done(make_error(Code::kBadRequest, "no command specified"));
  ExecSpec spec{id, new_id(), options.argv, options.tty};
  Message message;
  json::Value& streams = message.body.member("streams");
  streams = json::Value::array();
  auto ends = std::make_shared<ProcessStream::Ends>();
  ends->tty = options.tty;
  ends->takes_input = options.stdin_open;
  auto add = [&](const char* name, bool wanted, base::UniqueFd& near) -> Result<void> {
    if (!wanted || options.tty) return {};
    TRY_ASSIGN(Pipe pipe, make_pipe());
    bool input = name[0] == 'i';
    near = std::move(input ? pipe.write : pipe.read);
    message.fds.push_back(std::move(input ? pipe.read : pipe.write));
    streams.push_back(name);
    return {};
  };
  Result<void> made = add("in", options.stdin_open, ends->in);
  if (made.ok()) made = add("out", options.stdout_open, ends->out);
  if (made.ok()) made = add("err", options.stderr_open, ends->err);
  if (!made.ok()) return done(made.error());
  message.body.set("spec", to_json(spec));
  shim->call("exec", std::move(message),
             [this, id, exec_id = spec.id, ends, &listener,
              done = std::move(done)](Result<Message> reply) {
               if (!reply.ok()) {
                 return done(make_error(reply.error().code,
                                        exec_error_text(exec_id, reply.error().message)));
               }
               if (!reply->fds.empty()) {
                 ends->in = duplicate(reply->fds[0]);
                 ends->out = std::move(reply->fds[0]);
               }
               auto stream =
                   std::make_unique<ProcessStream>(*this, id, exec_id, std::move(*ends), listener);
               ProcessStream* started = stream.get();
               loop_.defer([this, alive = alive_, exec_id, started] {
                 if (!*alive) return;
                 auto found = execs_.find(exec_id);
                 if (found != execs_.end() && found->second == started) started->start();
               });
               done(std::unique_ptr<Stream>(std::move(stream)));
             });
}

void NativeRuntime::exec_sync(const std::string& id, std::vector<std::string> argv,
                              int64_t timeout_ms, Callback<ExecResult> done) {
  auto run = std::make_shared<SyncExec>(*this, std::move(done));
  run->begin(argv, timeout_ms);
  ExecOptions options;
  options.argv = std::move(argv);
  exec(id, std::move(options), *run,
       [run](Result<std::unique_ptr<Stream>> stream) { run->started(std::move(stream)); });
}

void NativeRuntime::attach(const std::string& id, StreamListener& listener,
                           Callback<std::unique_ptr<Stream>> done) {
  Container* container = find_container(id);
  if (container == nullptr) {
    return done(make_error(Code::kNotFound, fmt::format("container \"{}\" not found", id)));
  }
  std::shared_ptr<ShimClient> shim = shim_of(*container);
  if (shim == nullptr || container->progress.state != ContainerState::kRunning) {
    return done(make_error(Code::kNotFound, "container not running (" + id + ")"));
  }
  Result<Pipe> out = make_pipe();
  Result<Pipe> err = make_pipe();
  if (!out.ok()) return done(out.error());
  if (!err.ok()) return done(err.error());
  const ContainerConfig& config = container->record.config;
  auto ends = std::make_shared<ProcessStream::Ends>();
  ends->tty = config.tty;
  ends->takes_input = config.stdin_open;
  ends->out = std::move(out->read);
  Message message;
  message.body.set("id", id).set("stdin", config.stdin_open);
  message.fds.push_back(std::move(out->write));
  if (!config.tty) {
    ends->err = std::move(err->read);
    message.fds.push_back(std::move(err->write));
  }
  shim->call("attach", std::move(message),
             [this, id, ends, &listener, done = std::move(done)](Result<Message> reply) {
               if (!reply.ok()) return done(reply.error());
               if (!reply->fds.empty()) ends->in = std::move(reply->fds[0]);
               auto stream =
                   std::make_unique<ProcessStream>(*this, id, "", std::move(*ends), listener);
               ProcessStream* started = stream.get();
               Container* container = find_container(id);
               if (container != nullptr && container->progress.state == ContainerState::kExited) {
                 started->process_exited(container->progress.exit_code);
               }
               loop_.defer([this, alive = alive_, started] {
                 if (*alive && attached_.contains(started)) started->start();
               });
               done(std::unique_ptr<Stream>(std::move(stream)));
             });
}

namespace {

// A connection being made inside a pod: 127.0.0.1, then ::1.
class Dialing : public std::enable_shared_from_this<Dialing> {
 public:
  Dialing(base::Loop& loop, std::shared_ptr<ShimClient> shim, uint16_t port, Callback<int> done)
      : loop_(loop), shim_(std::move(shim)), port_(port), done_(std::move(done)) {}

  void attempt(int family) {
    Message message;
    message.body.set("family", family);
    shim_->call("socket", std::move(message),
                [self = shared_from_this(), family](Result<Message> reply) {
                  if (!reply.ok()) return self->done_(reply.error());
                  if (reply->fds.empty()) return self->failed(family, EPROTO);
                  self->connect_to(family, std::move(reply->fds[0]));
                });
  }

 private:
  void connect_to(int family, base::UniqueFd fd) {
    fd_ = std::move(fd);
    int result;
    if (family == 4) {
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(port_);
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      result = connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
    } else {
      sockaddr_in6 address{};
      address.sin6_family = AF_INET6;
      address.sin6_port = htons(port_);
      address.sin6_addr = in6addr_loopback;
      result = connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
    }
    if (result == 0) return done_(fd_.release());
    if (errno != EINPROGRESS) return failed(family, errno);
    watch_ = std::make_unique<base::FdWatch>(
        loop_, fd_.get(), UV_WRITABLE, [self = shared_from_this(), family](int) {
          std::shared_ptr<Dialing> keep = self;
          int error = 0;
          socklen_t size = sizeof error;
          getsockopt(keep->fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
          keep->watch_.reset();
          if (error != 0) return keep->failed(family, error);
          keep->done_(keep->fd_.release());
        });
  }

  void failed(int family, int error) {
    if (family == 4) return attempt(6);
    done_(
        errno_error(error, fmt::format("failed to connect to localhost:{} inside the pod", port_)));
  }

  base::Loop& loop_;
  std::shared_ptr<ShimClient> shim_;
  uint16_t port_;
  Callback<int> done_;
  base::UniqueFd fd_;
  std::unique_ptr<base::FdWatch> watch_;
};

}  // namespace

void NativeRuntime::dial(const std::string& sandbox_id, uint16_t port, Callback<int> done) {
  Sandbox* sandbox = find_sandbox(sandbox_id);
  if (sandbox == nullptr || !sandbox->ready()) {
    return done(
        make_error(Code::kNotFound, fmt::format("sandbox \"{}\" is not ready", sandbox_id)));
  }
  std::make_shared<Dialing>(loop_, sandbox->shim, port, std::move(done))->attempt(4);
}

}  // namespace knarr::runtime
