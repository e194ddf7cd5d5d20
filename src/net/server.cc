// Accepting, the handshake, and the choice of protocol; deadlines of all connections on one timer
// that is armed only while there is one.
#include "net/server.h"

#include <sys/resource.h>

#include <algorithm>
#include <ctime>

#include "net/server_core.h"

namespace knarr::net {

namespace {

constexpr std::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr int64_t kLetGoMs = 500, kLetGoLookMs = 5;
constexpr int64_t kSweepSlackMs = 250;  // deadlines this near share one waking

// Waits for the handshake, or for the first bytes of a plain connection, then hands the socket on.
class Newcomer final : public ServerConnection, public std::enable_shared_from_this<Newcomer> {
 public:
  Newcomer(ServerCore& core, std::unique_ptr<Socket> socket, std::shared_ptr<TlsContext> tls)
      : core_(core), socket_(std::move(socket)), tls_(std::move(tls)) {}

  void start() override {
    core_.set_deadline(*this, core_.limits.handshake_timeout_ms);
    if (tls_) {
      socket_->secure(tls_, "", [this](Result<void> done) {
        auto keep = shared_from_this();
        if (!done.ok()) return core_.remove(this);
        become(socket_->http2());
      });
      return;
    }
    ByteStream::Events events;
    events.on_data = [this](std::string_view bytes) { on_data(bytes); };
    events.on_end = [this] { core_.remove(this); };
    events.on_close = [this](const Error&) { core_.remove(this); };
    socket_->listen(std::move(events));
  }
  void drain() override { core_.remove(this); }
  void expire() override { core_.remove(this); }

 private:
  void on_data(std::string_view bytes) {
    first_ += bytes;
    size_t n = std::min(first_.size(), kHttp2Preface.size());
    bool http2 = std::string_view(first_).substr(0, n) == kHttp2Preface.substr(0, n);
    if (http2 && n < kHttp2Preface.size()) return;
    socket_->unread(std::move(first_));
    become(http2);
  }
  void become(bool http2) {
    ServerCore& core = core_;
    auto next = http2 ? make_http2_connection(core, std::move(socket_))
                      : make_http1_connection(core, std::move(socket_));
    core.connections.emplace(next.get(), next);
    core.remove(this);
    next->start();
  }

  ServerCore& core_;
  std::unique_ptr<Socket> socket_;
  std::shared_ptr<TlsContext> tls_;
  std::string first_;
};

// The other half is for what requests need: files, pods, connections to elsewhere.
size_t half_of_descriptors() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return SIZE_MAX;
  return limit.rlim_cur / 2;
}

}  // namespace

void ServerCore::set_deadline(ServerConnection& connection, int64_t delay_ms) {
  if (delay_ms == 0) {
    connection.deadline_ms_ = 0;
    return;
  }
  connection.deadline_ms_ = now_ms() + delay_ms;
  if (sweep->active() && sweep_at_ms <= connection.deadline_ms_) return;
  sweep_at_ms = connection.deadline_ms_ + kSweepSlackMs;
  sweep->start(delay_ms + kSweepSlackMs);
}

void ServerCore::sweep_now() {
  int64_t now = now_ms();
  std::vector<std::shared_ptr<ServerConnection>> expired;
  int64_t next = 0;
  for (auto& [key, connection] : connections) {
    int64_t at = connection->deadline_ms_;
    if (at == 0) continue;
    if (at <= now) {
      expired.push_back(connection);
    } else if (next == 0 || at < next) {
      next = at;
    }
  }
  if (next != 0) {
    sweep_at_ms = next + kSweepSlackMs;
    sweep->start(sweep_at_ms - now);
  }
  for (auto& connection : expired) {
    connection->deadline_ms_ = 0;
    if (connections.count(connection.get()) != 0) connection->expire();
  }
}

void ServerCore::remove(ServerConnection* connection) {
  auto at = connections.find(connection);
  if (at == connections.end()) return;
  std::shared_ptr<ServerConnection> last = std::move(at->second);
  connections.erase(at);
  if (!connections.empty()) return;
  sweep->stop();
  if (on_empty) on_empty();
}

void ServerCore::gave_away(const Socket& socket) {
  std::erase_if(upgraded, [](const Socket::Ref& ref) { return !ref.is_there(); });
  upgraded.push_back(socket.ref());
}

const std::string& ServerCore::date() {
  int64_t now = loop->now_us() / 1000000;
  if (now != date_s_) {
    date_s_ = now;
    time_t t = static_cast<time_t>(now);
    tm parts{};
    gmtime_r(&t, &parts);
    char text[64];
    strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    date_ = text;
  }
  return date_;
}

Refusal refusal_of(const ServerLimits& limits, int status) {
  if (status == 413 && !limits.too_large_type.empty()) {
    return {limits.too_large_type, limits.too_large_body};
  }
  return {"text/plain; charset=utf-8",
          std::to_string(status) + " " + std::string(reason_phrase(status))};
}

void append_value(std::string& out, std::string_view value) {
  auto at = static_cast<ptrdiff_t>(out.size());
  out += value;
  std::replace_if(
      out.begin() + at, out.end(), [](char c) { return c == '\r' || c == '\n' || c == '\0'; }, ' ');
}

bool split_target(std::string_view target, Request& request) {
  for (std::string_view scheme : {"http://", "https://"}) {
    if (target.substr(0, scheme.size()) != scheme) continue;
    size_t slash = target.find_first_of("/?", scheme.size());
    target = slash == std::string_view::npos ? "/" : target.substr(slash);
  }
  size_t question = target.find('?');
  request.path = target.substr(0, question);
  if (question != std::string_view::npos) request.query = target.substr(question + 1);
  return target == "*" || (!request.path.empty() && request.path[0] == '/');
}

struct Server::Impl {
  ServerCore core;
  std::shared_ptr<TlsContext> tls;
  uv_stream_t* listener = nullptr;
  uint16_t port = 0;
  std::function<void()> drained;
  std::unique_ptr<Timer> drain_limit;
  std::unique_ptr<Timer> drain_done;
  int64_t cut_ms = 0;  // when upgraded connections were

  ~Impl() {
    stop_listening();
    core.on_empty = nullptr;
    core.sweep.reset();
    auto all = std::move(core.connections);
    core.connections.clear();
  }
  void stop_listening() {
    if (listener == nullptr) return;
    listener->data = nullptr;
    close_stream(std::exchange(listener, nullptr));
  }
  Result<void> configure(std::optional<TlsConfig> config, Handler handler) {
    if (config) {
      TRY_ASSIGN(tls, make_server_tls(*config));
    }
    core.handler = std::move(handler);
    return {};
  }
  // Who has upgraded connections hears that they are cut, and has time to let go of them.
  void end_drain() {
    if (!drained) return;
    int64_t now_ms = core.loop->monotonic_ms();
    if (cut_ms == 0) {
      cut_ms = now_ms;
      Error error = make_error(Code::kServiceUnavailable, "the server is stopping");
      for (const Socket::Ref& ref : core.upgraded) ref.cut(error);
    }
    bool any = std::any_of(core.upgraded.begin(), core.upgraded.end(),
                           [](const Socket::Ref& ref) { return ref.is_there(); });
    if (any && now_ms - cut_ms < kLetGoMs) return drain_done->start(kLetGoLookMs);
    drain_limit.reset();
    std::exchange(drained, nullptr)();
  }
  void serve(std::unique_ptr<Socket> socket) {
    if (core.draining || core.connections.size() >= core.limits.connections) return;
    auto connection = std::make_shared<Newcomer>(core, std::move(socket), tls);
    core.connections.emplace(connection.get(), connection);
    connection->start();
  }
  void accept() {
    auto* tcp = new uv_tcp_t;
    uv_tcp_init(core.loop->uv(), tcp);
    auto* stream = reinterpret_cast<uv_stream_t*>(tcp);
    if (uv_accept(listener, stream) != 0) return close_stream(stream);
    serve(std::make_unique<Socket>(core.turns, stream));
  }
};

Server::Server(base::Loop& loop, ServerLimits limits) : impl_(std::make_unique<Impl>()) {
  ServerCore& core = impl_->core;
  core.loop = &loop;
  core.limits = limits;
  core.limits.connections = std::min(limits.connections, half_of_descriptors());
  core.turns = std::make_shared<TurnQueue>(loop.uv());
  core.sweep = loop.timer([&core] { core.sweep_now(); });
}

Server::~Server() = default;

Result<void> Server::listen(const std::string& address, uint16_t port, std::optional<TlsConfig> tls,
                            Handler handler) {
  TRY(impl_->configure(std::move(tls), std::move(handler)));
  sockaddr_storage where{};
  if (uv_ip4_addr(address.c_str(), port, reinterpret_cast<sockaddr_in*>(&where)) != 0 &&
      uv_ip6_addr(address.c_str(), port, reinterpret_cast<sockaddr_in6*>(&where)) != 0) {
    return make_error(Code::kInvalid, "listen on " + address + ": not an IP address");
  }
  auto* tcp = new uv_tcp_t;
  uv_tcp_init(impl_->core.loop->uv(), tcp);
  impl_->listener = reinterpret_cast<uv_stream_t*>(tcp);
  impl_->listener->data = impl_.get();
  int rc = uv_tcp_bind(tcp, reinterpret_cast<sockaddr*>(&where), 0);
  if (rc == 0) {
    rc = uv_listen(impl_->listener, 1024, [](uv_stream_t* listener, int status) {
      auto* impl = static_cast<Impl*>(listener->data);
      if (status == 0 && impl != nullptr) impl->accept();
    });
  }
  if (rc != 0) {
    impl_->stop_listening();
    return make_error(Code::kServiceUnavailable, "listen tcp " + address + ":" +
                                                     std::to_string(port) + ": " + uv_strerror(rc));
  }
  int size = sizeof where;
  uv_tcp_getsockname(tcp, reinterpret_cast<sockaddr*>(&where), &size);
  impl_->port = ntohs(reinterpret_cast<sockaddr_in*>(&where)->sin_port);  // the same place in IPv6
  return {};
}

Result<void> Server::serve(std::optional<TlsConfig> tls, Handler handler) {
  return impl_->configure(std::move(tls), std::move(handler));
}

void Server::adopt(base::UniqueFd fd) {
  auto socket = Socket::adopt(impl_->core.turns, std::move(fd));
  if (socket.ok()) impl_->serve(std::move(*socket));
}

uint16_t Server::port() const { return impl_->port; }

size_t Server::connections() const { return impl_->core.connections.size(); }

Result<void> Server::reload(const TlsConfig& tls) {
  TRY_ASSIGN(impl_->tls, make_server_tls(tls));
  return {};
}

void Server::drain(int64_t limit_ms, std::function<void()> done) {
  Impl& impl = *impl_;
  impl.stop_listening();
  impl.core.draining = true;
  impl.drained = std::move(done);
  // Told from a timer, never from within a call of a connection.
  impl.drain_done = impl.core.loop->timer([&impl] { impl.end_drain(); });
  impl.core.on_empty = [&impl] { impl.drain_done->start(0); };
  impl.drain_limit = impl.core.loop->timer([&impl] {
    auto all = std::move(impl.core.connections);
    impl.core.connections.clear();
    all.clear();
    impl.drain_done->start(0);
  });
  impl.drain_limit->start(limit_ms);
  std::vector<std::shared_ptr<ServerConnection>> all;
  for (auto& [key, connection] : impl.core.connections) all.push_back(connection);
  for (auto& connection : all) connection->drain();
  if (impl.core.connections.empty()) impl.drain_done->start(0);
}

}  // namespace knarr::net
