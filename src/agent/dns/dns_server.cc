#include "agent/dns/dns_server.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>

#include "agent/dns/sockets.h"
#include "base/log.h"

namespace knarr::agent {

namespace dns = net::dns;

namespace {

constexpr int kDatagramsAtOnce = 64;
constexpr size_t kMaxConnections = 128;
constexpr size_t kMaxUnanswered = 32;  // of one connection; then it is not read
constexpr int64_t kIdleMs = 10'000;
constexpr size_t kTcpLimit = 65535;
constexpr int kMaxAliases = 8;
constexpr uint16_t kAliasUdpSize = 4096;

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
    if ((events & UV_WRITABLE) != 0 && !flush()) return close();
    if ((events & UV_READABLE) != 0 && !read()) return close();
    listen();
  }

  bool read() {
    char buffer[16384];
    ssize_t n = recv(fd_.get(), buffer, sizeof buffer, 0);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    if (n == 0) return false;
    idle_->start(kIdleMs);
    in_.append(buffer, static_cast<size_t>(n));
    std::string query;
    while (take_frame(in_, query)) {
      unanswered_++;
      server_.handle(query, true, [weak = weak_from_this()](const std::string& answer) {
        if (auto self = weak.lock()) self->answer(answer);
      });
    }
    return true;
  }

  void answer(const std::string& message) {
    unanswered_--;
    out_ += framed(message);
    if (!flush()) return close();
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
  std::string in_, out_;
  size_t unanswered_ = 0;
};

DnsServer::DnsServer(base::Loop& loop, ServiceWatch& services, Random& random, DnsOptions options)
    : loop_(loop),
      services_(services),
      random_(random),
      options_(std::move(options)),
      zone_{options_.domain, options_.address, options_.ttl_seconds,
            static_cast<uint32_t>(loop.now_us() / 1'000'000)},
      forwarder_(loop, random, options_.resolv_conf, {options_.address}) {}

DnsServer::~DnsServer() = default;

Result<void> DnsServer::start() {
  TRY_ASSIGN(udp_, bind_dns_socket(false, options_.address, options_.port));
  TRY_ASSIGN(tcp_, bind_dns_socket(true, options_.address, options_.port));
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
    handle({buffer, static_cast<size_t>(n)}, false,
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

void DnsServer::handle(std::string_view bytes, bool tcp, Send send) {
  auto parsed = dns::parse(bytes);
  if (parsed.ok() ? parsed->response : bytes.size() < 12) return;
  dns::Message query;
  if (parsed.ok()) {
    query = *std::move(parsed);
  } else {
    query.id =
        static_cast<uint16_t>(static_cast<uint8_t>(bytes[0]) << 8 | static_cast<uint8_t>(bytes[1]));
  }
  size_t limit = tcp ? kTcpLimit : dns::udp_limit(query);
  uint8_t refused = query.opcode != 0                          ? dns::kNotImp
                    : query.questions.size() != 1              ? dns::kFormErr
                    : query.has_edns && query.edns.version > 0 ? dns::kBadVers
                                                               : dns::kNoError;
  if (refused != dns::kNoError) {
    dns::Message reply = dns::reply_to(query);
    reply.rcode = refused;
    return send(dns::write(reply, limit));
  }
  DnsAnswer found = dns_answer(services_.state(), zone_, query.questions[0]);
  if (found.kind != DnsAnswer::Kind::kForeign) return answer(query, found, limit, send);
  forwarder_.forward(bytes, tcp, [query, limit, send](const std::string& upstream) {
    if (!upstream.empty()) return send(upstream);
    dns::Message reply = dns::reply_to(query);
    reply.recursion_available = true;
    reply.rcode = dns::kServFail;
    send(dns::write(reply, limit));
  });
}

void DnsServer::answer(const dns::Message& query, const DnsAnswer& found, size_t limit, Send send) {
  dns::Message reply = dns::reply_to(query);
  reply.recursion_available = true;
  if (!services_.synced()) {  // what is not known yet may well be there
    reply.rcode = dns::kServFail;
    return send(dns::write(reply, limit));
  }
  reply.authoritative = true;
  reply.rcode = found.rcode;
  reply.answers = found.answers;
  reply.authorities = found.authorities;
  reply.additionals = found.additionals;
  spread(reply.answers);
  if (found.kind != DnsAnswer::Kind::kAlias) return send(dns::write(reply, limit));
  follow(std::move(reply), found, query.questions[0].type, limit, std::move(send));
}

// Clients expect the address along with the CNAME: ours are followed here, the last is asked for
// upstream.
void DnsServer::follow(dns::Message reply, DnsAnswer alias, uint16_t type, size_t limit,
                       Send send) {
  for (int i = 0; i < kMaxAliases && alias.kind == DnsAnswer::Kind::kAlias; i++) {
    dns::Question next{alias.alias, type, dns::kClassIn};
    DnsAnswer found = dns_answer(services_.state(), zone_, next);
    if (found.kind == DnsAnswer::Kind::kForeign) {
      dns::Message query;
      query.id = reply.id;
      query.recursion_desired = true;
      query.questions.push_back(next);
      query.has_edns = true;
      query.edns.udp_size = kAliasUdpSize;
      forwarder_.forward(dns::write(query), false, [reply, limit, send](const std::string& bytes) {
        dns::Message whole = reply;
        auto upstream = dns::parse(bytes);
        whole.rcode = upstream.ok() ? upstream->rcode : static_cast<uint8_t>(dns::kServFail);
        if (upstream.ok()) {
          for (dns::Record& r : upstream->answers) whole.answers.push_back(std::move(r));
        }
        send(dns::write(whole, limit));
      });
      return;
    }
    reply.rcode = found.rcode;
    for (const dns::Record& r : found.answers) reply.answers.push_back(r);
    reply.authorities = found.authorities;
    alias = std::move(found);
  }
  if (alias.kind == DnsAnswer::Kind::kAlias) reply.rcode = dns::kServFail;  // a circle
  send(dns::write(reply, limit));
}

// Many clients take the first address: each is first in its turn.
void DnsServer::spread(std::vector<dns::Record>& records) {
  for (size_t i = records.size(); i > 1; i--) {
    std::swap(records[i - 1], records[random_.below(i)]);
  }
}

}  // namespace knarr::agent
