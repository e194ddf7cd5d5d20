#include "cli/kubectl/remote.h"

#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <optional>

#include "base/base64.h"
#include "base/format.h"
#include "base/loop.h"
#include "base/random.h"
#include "base/unique_fd.h"
#include "cli/kubectl/api_client.h"
#include "net/client.h"
#include "net/websocket.h"

namespace knarr::kubectl {

namespace {

// Channels of the protocol: a message begins with one of these.
constexpr char kStdin = 0, kStdout = 1, kStderr = 2, kStatus = 3, kResize = 4;
constexpr unsigned char kClose = 255;  // v5: the channel whose number follows is at its end

constexpr char kV5[] = "v5.channel.k8s.io";
constexpr char kV4[] = "v4.channel.k8s.io";
constexpr int64_t kYearMs = 365LL * 24 * 3600 * 1000;
constexpr size_t kMostMessage = 32 << 20;

// The terminal passes every key on while this lives.
class RawTerminal {
 public:
  RawTerminal() {
    active_ = tcgetattr(STDIN_FILENO, &saved_) == 0;
    if (!active_) return;
    termios raw = saved_;
    cfmakeraw(&raw);
    tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
  }
  ~RawTerminal() {
    if (active_) tcsetattr(STDIN_FILENO, TCSADRAIN, &saved_);
  }
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;

 private:
  termios saved_{};
  bool active_ = false;
};

void write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

// Files and /dev/null are always readable, and refuse epoll.
bool can_poll(int fd) {
  base::UniqueFd epoll(epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{};
  return epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

class RemoteRun {
 public:
  RemoteRun(const ClientConfig& config, const RemoteStreams& streams)
      : config_(config), streams_(streams), client_(loop_, [&] {
          net::ClientOptions options;
          options.tls.ca_pem = config.ca_pem;
          options.tls.cert_pem = config.cert_pem;
          options.tls.key_pem = config.key_pem;
          options.tls.insecure = config.insecure;
          options.tls.server_name = config.tls_server_name;
          return options;
        }()) {}

  Result<int> run();

 private:
  void connect();
  void connected(Result<net::Response> answer);
  void on_message(std::string_view bytes);
  void start_stdin();
  void read_stdin();
  void end_stdin();
  void send(char channel, std::string_view bytes);
  void send_size();
  void finish(Result<int> result) {
    if (!result_) result_.emplace(std::move(result));
  }

  const ClientConfig& config_;
  const RemoteStreams& streams_;
  base::Loop loop_;
  net::Client client_;
  std::unique_ptr<net::Call> call_;
  std::unique_ptr<net::WebSocket> socket_;
  std::unique_ptr<base::FdWatch> stdin_watch_;
  uv_signal_t* resize_signal_ = nullptr;
  std::string key_;
  std::string status_;
  bool room_ = true;         // the socket takes more
  bool reads_file_ = false;  // stdin can't be polled
  bool stdin_ended_ = false;
  std::optional<Result<int>> result_;
};

void RemoteRun::connect() {
  base::SystemRandom random;
  std::string nonce;
  for (int i = 0; i < 16; i++) nonce += static_cast<char>(random.next() & 0xff);
  key_ = base::base64_encode(nonce);
  net::ClientRequest request;
  request.url = config_.server + streams_.target;
  request.headers = net::websocket_request_headers(key_, {kV5, kV4});
  std::string credentials = authorization(config_);
  if (!credentials.empty()) request.headers.add("Authorization", credentials);
  call_ = client_.upgrade(std::move(request),
                          [this](Result<net::Response> answer) { connected(std::move(answer)); });
}

void RemoteRun::connected(Result<net::Response> answer) {
  if (!answer.ok()) {
    finish(make_error(Code::kServiceUnavailable,
                      "Unable to connect to the server: " + answer.error().message));
    return;
  }
  if (answer->status != 101 || answer->stream == nullptr) {
    finish(status_error(answer->status, answer->body));
    return;
  }
  if (answer->headers.get("Sec-WebSocket-Accept") != net::websocket_accept_key(key_)) {
    finish(make_error(Code::kBadRequest, "websocket: bad handshake"));
    return;
  }
  socket_ = std::make_unique<net::WebSocket>(
      std::move(answer->stream), net::WebSocketCodec::Role::kClient,
      std::string(answer->headers.get("Sec-WebSocket-Protocol")), kMostMessage);
  net::WebSocket::Events events;
  events.on_message = [this](std::string_view bytes, bool) { on_message(bytes); };
  events.on_drain = [this] {
    room_ = true;
    if (stdin_watch_) stdin_watch_->set_events(UV_READABLE);
    if (reads_file_) read_stdin();
  };
  events.on_close = [this](uint16_t code, std::string_view) {
    if (!status_.empty()) return finish(exit_status(status_));
    if (code == 1000) return finish(0);
    finish(make_error(Code::kBadRequest, fmt::format("websocket: close {}: unexpected EOF", code)));
  };
  socket_->listen(std::move(events));
  if (streams_.tty) send_size();
  if (streams_.stdin_open) start_stdin();
}

void RemoteRun::on_message(std::string_view bytes) {
  if (bytes.empty()) return;
  std::string_view payload = bytes.substr(1);
  switch (bytes[0]) {
    case kStdout: write_all(STDOUT_FILENO, payload); break;
    case kStderr: write_all(STDERR_FILENO, payload); break;
    case kStatus:
      status_ += payload;
      if (json::parse(status_).ok()) socket_->close(1000, "");
      break;
    default: break;
  }
}

void RemoteRun::send(char channel, std::string_view bytes) {
  std::string message(1, channel);
  message += bytes;
  room_ = socket_->send(message);
  if (!room_ && stdin_watch_) stdin_watch_->set_events(0);
}

void RemoteRun::send_size() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return;
  send(kResize, fmt::format("{{\"Width\":{},\"Height\":{}}}", size.ws_col, size.ws_row));
}

void RemoteRun::start_stdin() {
  reads_file_ = !can_poll(STDIN_FILENO);
  if (reads_file_) return read_stdin();
  stdin_watch_ = std::make_unique<base::FdWatch>(loop_, STDIN_FILENO, UV_READABLE,
                                                 [this](int) { read_stdin(); });
}

void RemoteRun::read_stdin() {
  char buffer[32768];
  do {
    if (stdin_ended_) return;
    ssize_t n = read(STDIN_FILENO, buffer, sizeof buffer);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n <= 0) return end_stdin();
    send(kStdin, {buffer, static_cast<size_t>(n)});
  } while (reads_file_ && room_);
}

void RemoteRun::end_stdin() {
  stdin_ended_ = true;
  stdin_watch_.reset();
  if (socket_->subprotocol() != kV5) return;  // v4 can't say it
  const char message[] = {static_cast<char>(kClose), kStdin};
  socket_->send({message, sizeof message});
}

Result<int> RemoteRun::run() {
  std::optional<RawTerminal> raw;
  if (streams_.tty && streams_.stdin_open) raw.emplace();
  if (streams_.tty) {
    resize_signal_ = new uv_signal_t;
    uv_signal_init(loop_.uv(), resize_signal_);
    resize_signal_->data = this;
    uv_signal_start(
        resize_signal_,
        [](uv_signal_t* signal, int) {
          auto* run = static_cast<RemoteRun*>(signal->data);
          if (run->socket_) run->send_size();
        },
        SIGWINCH);
  }
  connect();
  loop_.run_until([this] { return result_.has_value(); }, kYearMs);
  if (resize_signal_ != nullptr) base::close_handle(resize_signal_);
  stdin_watch_.reset();
  socket_.reset();
  call_.reset();
  if (!result_) return make_error(Code::kBadRequest, "the command did not end");
  return std::move(*result_);
}

}  // namespace

Result<int> exit_status(std::string_view text) {
  auto status = json::parse(text);
  if (!status.ok())
    return make_error(Code::kBadRequest, "error stream protocol error: " + std::string(text));
  if ((*status)["status"].as_string() == "Success") return 0;
  if ((*status)["reason"].as_string() == "NonZeroExitCode") {
    for (const json::Value& cause : (*status)["details"]["causes"].elements()) {
      if (cause["reason"].as_string() != "ExitCode") continue;
      std::string_view digits = cause["message"].as_string();
      int code = 0;
      auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code);
      if (error == std::errc()) return code;
    }
  }
  return make_error(Code::kBadRequest, (*status)["message"].text());
}

Result<int> run_remote(const ClientConfig& config, const RemoteStreams& streams) {
  if (!streams.quiet_hint) {
    std::fputs("If you don't see a command prompt, try pressing enter.\n", stderr);
  }
  return RemoteRun(config, streams).run();
}

}  // namespace knarr::kubectl
