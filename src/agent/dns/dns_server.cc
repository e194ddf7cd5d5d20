#include "agent/dns/dns_server.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>

#include "agent/dns/sockets.h"
#include "base/log.h"
#include "net/frames.h"

namespace knarr::agent {

namespace {

constexpr int kDatagramsAtOnce = 64;
constexpr size_t kMaxConnections = 128;
constexpr size_t kMostUnread = 64 * 1024;  // bytes of answers
constexpr size_t kMaxUnanswered = 32;      // of one connection; then it is not read
constexpr int64_t kIdleMs = 10'000;

}  // namespace

// A TCP client: queries one after the other or many at once, answered in any order (RFC 7766).
class DnsServer::Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(DnsServer& server, base::UniqueFd fd)
      : server_(server),
        fd_(std::move(fd)),
        watch_(server.loop_, fd_.get(), UV_READABLE, [this](int events) { ready(events); }),
        idle_(server.loop_.timer([this] { close(); })) {
    idle_->start(kIdleMs);
  }

 private:
  void close() { server_.drop(this); }

  void ready(int events) {
    auto keep = shared_from_this();
    if ((events & UV_WRITABLE) != 0) {
      if (!flush()) return close();
      take_queries();
    }
    if ((events & UV_READABLE) != 0 && !read()) return close();
    listen();
  }

  bool read() {
    char buffer[16384];
    ssize_t n = recv(fd_.get(), buffer, sizeof buffer, 0);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    if (n == 0) return false;
    idle_->start(kIdleMs);
    in_.add({buffer, static_cast<size_t>(n)});
    take_queries();
    return true;
  }

  // As many as may wait for answers, or for the client to read them; the others when it has.
  void take_queries() {
    if (taking_) return;  // an answer that came at once
    taking_ = true;
    while (unanswered_ < kMaxUnanswered && out_.size() < kMostUnread) {
      auto query = in_.next();
      if (!query) break;
      unanswered_++;
      server_.resolver_.handle(*query, true, [weak = weak_from_this()](const std::string& answer) {
        if (auto self = weak.lock()) self->answer(answer);
      });
    }
    taking_ = false;
  }

  void answer(const std::string& message) {
    auto keep = shared_from_this();
    unanswered_--;
    net::append_frame(out_, message);
    if (!flush()) return close();
    take_queries();
    listen();
  }

  bool flush() {
    while (!out_.empty()) {
      ssize_t n = send(fd_.get(), out_.data(), out_.size(), MSG_NOSIGNAL);
      if (n < 0) return errno == EAGAIN || errno == EINTR;
      out_.erase(0, static_cast<size_t>(n));
    }
    return true;
  }

  void listen() {
    watch_.set_events((unanswered_ < kMaxUnanswered && out_.empty() ? UV_READABLE : 0) |
                      (out_.empty() ? 0 : UV_WRITABLE));
  }

  DnsServer& server_;
  base::UniqueFd fd_;
  base::FdWatch watch_;
  std::unique_ptr<Timer> idle_;
  net::FrameReader in_;
  std::string out_;
  size_t unanswered_ = 0;
  bool taking_ = false;
};

DnsServer::DnsServer(base::Loop& loop, ServiceWatch& services, Random& random, DnsOptions options)
    : loop_(loop), options_(std::move(options)), resolver_(loop, services, random, options_) {}

DnsServer::~DnsServer() = default;

Result<void> DnsServer::start() {
  TRY_ASSIGN(DnsSockets sockets, bind_dns_sockets(options_.address, options_.port));
  udp_ = std::move(sockets.udp);
  tcp_ = std::move(sockets.tcp);
  options_.port = sockets.port;
  udp_watch_ = std::make_unique<base::FdWatch>(loop_, udp_.get(), UV_READABLE,
                                               [this](int) { read_datagrams(); });
  tcp_watch_ = std::make_unique<base::FdWatch>(loop_, tcp_.get(), UV_READABLE,
                                               [this](int) { accept_connections(); });
  return {};
}

void DnsServer::read_datagrams() {
  char buffer[4096];  // a query is far smaller
  for (int i = 0; i < kDatagramsAtOnce; i++) {
    sockaddr_storage from;
    socklen_t size = sizeof from;
    ssize_t n =
        recvfrom(udp_.get(), buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (n < 0) return;
    resolver_.handle(
        {buffer, static_cast<size_t>(n)}, false,
        [this, alive = std::weak_ptr<bool>(alive_), from, size](const std::string& answer) {
          if (alive.expired()) return;
          // What the kernel can't take now is lost, as datagrams are.
          if (sendto(udp_.get(), answer.data(), answer.size(), 0,
                     reinterpret_cast<const sockaddr*>(&from), size) < 0) {
            base::log(base::Level::kDebug, "dns", "sendto: errno {}", errno);
          }
        });
  }
}

void DnsServer::accept_connections() {
  while (true) {
    base::UniqueFd fd(accept4(tcp_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd.valid()) return;
    if (connections_.size() >= kMaxConnections) connections_.pop_front();
    connections_.push_back(std::make_shared<Connection>(*this, std::move(fd)));
  }
}

void DnsServer::drop(Connection* connection) {
  connections_.remove_if([connection](const auto& c) { return c.get() == connection; });
}

}  // namespace knarr::agent
