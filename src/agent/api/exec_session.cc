#include "agent/api/exec_session.h"

#include "base/format.h"
#include "base/json.h"

namespace knarr::agent {

using json::Value;

namespace {

class Session final : public runtime::StreamListener, public std::enable_shared_from_this<Session> {
 public:
  Session(Clock& clock, runtime::Runtime& runtime, ExecRequest request)
      : clock_(clock), runtime_(runtime), request_(std::move(request)) {}

  void begin(std::unique_ptr<RemoteStreams> streams) {
    streams_ = std::move(streams);
    keep_ = shared_from_this();
    auto started = [weak = weak_from_this()](Result<std::unique_ptr<runtime::Stream>> stream) {
      if (auto self = weak.lock()) self->started(std::move(stream));
    };
    if (request_.attach) {
      runtime_.attach(request_.container_id, *this, started);
      return;
    }
    runtime::ExecOptions options;
    options.argv = request_.command;
    options.stdin_open = request_.wanted.stdin_open;
    options.stdout_open = request_.wanted.stdout_open;
    options.stderr_open = request_.wanted.stderr_open;
    options.tty = request_.wanted.tty;
    runtime_.exec(request_.container_id, options, *this, started);
  }

  void on_stdout(std::string_view bytes) override { to_client(RemoteStream::kStdout, bytes); }
  void on_stderr(std::string_view bytes) override { to_client(RemoteStream::kStderr, bytes); }
  void on_exit(Result<int> exit_code) override { end(exec_status(exit_code)); }

 private:
  void started(Result<std::unique_ptr<runtime::Stream>> stream) {
    if (!stream.ok()) {
      end(exec_status(stream.error()));
      return;
    }
    if (!streams_) return;  // the client has gone meanwhile
    process_ = *std::move(stream);
    listen_stdin();
    listen_resize();
    listen_output(RemoteStream::kStdout);
    listen_output(RemoteStream::kStderr);
    listen_error();
  }

  void listen_stdin() {
    net::ByteStream* in = streams_->get(RemoteStream::kStdin);
    if (in == nullptr || !request_.wanted.stdin_open) return;
    net::ByteStream::Events events;
    events.on_data = [this, in](std::string_view bytes) {
      in->pause();  // one chunk at a time
      process_->write_stdin(bytes, [weak = weak_from_this(), in] {
        auto self = weak.lock();
        if (self && self->streams_) in->resume();
      });
    };
    events.on_end = [this] { process_->close_stdin(); };
    in->listen(std::move(events));
  }

  void listen_resize() {
    net::ByteStream* resize = streams_->get(RemoteStream::kResize);
    if (resize == nullptr || !request_.wanted.tty) return;
    net::ByteStream::Events events;
    events.on_data = [this](std::string_view bytes) {
      resize_text_ += bytes;
      TerminalSize size;
      if (take_terminal_size(resize_text_, size)) process_->resize(size.columns, size.rows);
    };
    resize->listen(std::move(events));
  }

  void listen_output(RemoteStream which) {
    net::ByteStream* out = streams_->get(which);
    if (out == nullptr) return;
    net::ByteStream::Events events;
    events.on_drain = [this] { process_->resume(); };
    out->listen(std::move(events));
  }

  // The error stream is there in every protocol: when it breaks, the client is gone.
  void listen_error() {
    net::ByteStream* error = streams_->get(RemoteStream::kError);
    if (error == nullptr) return;
    net::ByteStream::Events events;
    events.on_close = [this](const Error&) { let_go(); };
    error->listen(std::move(events));
  }

  void to_client(RemoteStream which, std::string_view bytes) {
    if (!streams_) return;
    net::ByteStream* out = streams_->get(which);
    if (out == nullptr) return;
    if (!out->write(std::string(bytes)) && process_) process_->pause();
  }

  void end(const std::string& status) {
    if (!streams_) return;
    streams_->finish(status);
    let_go();
  }

  // Not from within a stream's own call.
  void let_go() {
    auto self = std::exchange(keep_, nullptr);
    if (!self) return;
    clock_.defer([self] {
      self->process_.reset();
      self->streams_.reset();
    });
  }

  Clock& clock_;
  runtime::Runtime& runtime_;
  ExecRequest request_;
  std::unique_ptr<RemoteStreams> streams_;
  std::unique_ptr<runtime::Stream> process_;
  std::string resize_text_;
  std::shared_ptr<Session> keep_;
};

}  // namespace

std::string exec_status(const Result<int>& exit_code) {
  Value status = Value::object({{"metadata", Value::object()}});
  if (exit_code.ok() && *exit_code == 0) {
    status.set("status", "Success");
  } else if (exit_code.ok()) {
    std::string code = std::to_string(*exit_code);
    Value cause = Value::object({{"reason", "ExitCode"}, {"message", code}});
    status.set("status", "Failure");
    status.set("message", "command terminated with non-zero exit code: exit status " + code);
    status.set("reason", "NonZeroExitCode");
    status.set("details", Value::object({{"causes", Value::array({cause})}}));
  } else {
    status.set("status", "Failure");
    status.set("message", "error executing command in container: " + exit_code.error().message);
    status.set("reason", "InternalError");
    status.set("code", 500);
  }
  return json::write(status);
}

bool take_terminal_size(std::string& buffer, TerminalSize& size) {
  bool found = false;
  for (size_t end = buffer.find('}'); end != std::string::npos; end = buffer.find('}')) {
    auto value = json::parse(buffer.substr(0, end + 1));
    buffer.erase(0, end + 1);
    if (!value.ok()) continue;
    size.columns = static_cast<uint16_t>((*value)["Width"].as_int());
    size.rows = static_cast<uint16_t>((*value)["Height"].as_int());
    found = true;
  }
  return found;
}

Result<void> start_exec_session(const net::ExchangePtr& exchange, Clock& clock,
                                runtime::Runtime& runtime, ExecRequest request) {
  RemoteWanted wanted = request.wanted;
  auto session = std::make_shared<Session>(clock, runtime, std::move(request));
  return accept_remote(exchange, wanted, [session](std::unique_ptr<RemoteStreams> streams) {
    session->begin(std::move(streams));
  });
}

}  // namespace knarr::agent
