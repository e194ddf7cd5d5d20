#include "agent/dns/forwarder.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "agent/dns/sockets.h"
#include "api/ip.h"
#include "base/file.h"
#include "base/format.h"
#include "base/log.h"
#include "net/frames.h"

namespace knarr::agent {

namespace {

constexpr size_t kHeaderBytes = 12;
constexpr int64_t kCheckFileMs = 1000;
constexpr size_t kMaxServers = 3;  // as the C library takes
constexpr uint8_t kServFail = 2, kRefused = 5;
constexpr uint16_t kHinfo = 13;

uint8_t rcode_of(const std::string& answer) { return static_cast<uint8_t>(answer[3]) & 15; }

// The end of the one question, as written (its name is not compressed); 0 when cut short.
size_t question_end(std::string_view message) {
  size_t at = kHeaderBytes;
  while (at < message.size() && message[at] != 0) at += static_cast<uint8_t>(message[at]) + 1U;
  at += 5;
  return at <= message.size() ? at : 0;
}

}  // namespace

std::vector<std::string> upstream_servers(std::string_view resolv_conf,
                                          const std::set<std::string>& own) {
  std::vector<std::string> out;
  while (!resolv_conf.empty()) {
    size_t end = std::min(resolv_conf.find('\n'), resolv_conf.size());
    std::string_view line = resolv_conf.substr(0, end);
    resolv_conf.remove_prefix(std::min(end + 1, resolv_conf.size()));
    constexpr std::string_view kWord = "nameserver";
    if (!line.starts_with(kWord)) continue;
    line.remove_prefix(kWord.size());
    size_t begin = line.find_first_not_of(" \t");
    if (begin == 0 || begin == std::string_view::npos) continue;
    line.remove_prefix(begin);
    auto ip = api::IpAddress::parse(line.substr(0, line.find_first_of(" \t\r#;")));
    if (!ip || own.count(ip->text()) > 0 || out.size() == kMaxServers) continue;
    out.push_back(ip->text());
  }
  return out;
}

// One query under way: a socket (and so a port) of its own for each attempt.
class Forwarder::Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  Exchange(Forwarder& owner, std::string_view query, bool tcp, std::vector<DnsTarget> servers,
           std::function<void(std::string)> done)
      : owner_(owner),
        query_(query),
        tcp_(tcp),
        done_(std::move(done)),
        servers_(std::move(servers)),
        timer_(owner.loop_.timer([this] { attempt(); })) {
    client_id_ = query_.substr(0, 2);
    uint64_t id = owner.random_.next();
    query_[0] = static_cast<char>(id);
    query_[1] = static_cast<char>(id >> 8);
    attempts_left_ = servers_.empty() ? 0 : std::max<size_t>(2, servers_.size());
  }

  // The next server, or the end.
  void attempt() {
    while (attempts_left_ > 0) {
      attempts_left_--;
      watch_ = nullptr;
      const DnsTarget& server = servers_[next_++ % servers_.size()];
      auto fd = connect_dns_socket(tcp_, server.address, server.port);
      if (!fd.ok()) continue;
      fd_ = *std::move(fd);
      in_.clear();
      out_.clear();
      if (tcp_) {
        net::append_frame(out_, query_);
      } else {
        out_ = query_;
      }
      if (!tcp_ && !flush()) continue;
      int events = tcp_ ? UV_WRITABLE : UV_READABLE;
      watch_ = std::make_unique<base::FdWatch>(owner_.loop_, fd_.get(), events,
                                               [this](int e) { ready(e); });
      timer_->start(kTimeoutMs);
      return;
    }
    end(std::move(last_));
  }

  void end(std::string answer) {
    watch_ = nullptr;
    timer_->stop();
    if (answer.size() >= 2) answer.replace(0, 2, client_id_);
    auto keep = shared_from_this();
    auto done = std::move(done_);
    owner_.finish(this);
    done(std::move(answer));
  }

 private:
  bool flush() {
    ssize_t n = send(fd_.get(), out_.data(), out_.size(), MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN;
    out_.erase(0, static_cast<size_t>(n));
    return true;
  }

  void ready(int events) {
    auto keep = shared_from_this();
    if (tcp_ && !out_.empty() && (events & UV_READABLE) == 0) {
      if (!flush()) return attempt();
      if (out_.empty()) watch_->set_events(UV_READABLE);
      return;
    }
    char buffer[65536];
    ssize_t n = recv(fd_.get(), buffer, sizeof buffer, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n < 0 || (n == 0 && tcp_)) return attempt();
    std::string message(buffer, static_cast<size_t>(n));
    if (tcp_) {
      in_.add(message);
      auto whole = in_.next();
      if (!whole) return;
      message = *whole;
    }
    if (!answers_us(message)) return;
    bool failed = rcode_of(message) == kServFail || rcode_of(message) == kRefused;
    if (failed && attempts_left_ > 0 && servers_.size() > 1) {
      last_ = std::move(message);
      return attempt();
    }
    end(std::move(message));
  }

  // Else it is somebody's guess, or late: the wait goes on.
  bool answers_us(const std::string& message) const {
    size_t end = question_end(query_);
    if (message.size() < kHeaderBytes || (message[2] & 0x80) == 0) return false;
    if (message.compare(0, 2, query_, 0, 2) != 0) return false;
    if (message.size() < end) return rcode_of(message) != 0;  // an error without the question
    return message.compare(kHeaderBytes, end - kHeaderBytes, query_, kHeaderBytes,
                           end - kHeaderBytes) == 0;
  }

  Forwarder& owner_;
  std::string query_;
  bool tcp_;
  std::function<void(std::string)> done_;
  std::vector<DnsTarget> servers_;
  std::string client_id_;
  size_t attempts_left_ = 0, next_ = 0;
  net::FrameReader in_;
  std::string out_, last_;
  base::UniqueFd fd_;
  std::unique_ptr<base::FdWatch> watch_;
  std::unique_ptr<Timer> timer_;
};

Forwarder::Forwarder(base::Loop& loop, Random& random, std::string resolv_conf,
                     std::set<std::string> own)
    : loop_(loop), random_(random), path_(std::move(resolv_conf)), own_(std::move(own)) {}

Forwarder::~Forwarder() = default;

// The file may change at any time: it is looked at when it is needed, once a second at most.
const std::vector<DnsTarget>& Forwarder::servers() {
  int64_t now_ms = loop_.monotonic_ms();
  if (checked_ms_ >= 0 && now_ms - checked_ms_ < kCheckFileMs) return servers_;
  checked_ms_ = now_ms;
  struct stat info {};
  if (stat(path_.c_str(), &info) != 0) return servers_;
  int64_t modified_ns = info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec;
  if (modified_ns == modified_ns_) return servers_;
  modified_ns_ = modified_ns;
  auto text = base::read_file(path_);
  if (!text.ok()) return servers_;
  servers_.clear();
  for (std::string& address : upstream_servers(*text, own_)) {
    servers_.push_back({std::move(address), port_});
  }
  probe();
  return servers_;
}

// One question to each server that nobody else asks.
void Forwarder::probe() {
  probes_.clear();
  for (const DnsTarget& server : servers_) {
    net::dns::Message query;
    query.id = static_cast<uint16_t>(random_.next());
    query.recursion_desired = true;
    std::string name = fmt::format("{}.{}", random_.next(), random_.next());
    query.questions.push_back({name, kHinfo, net::dns::kClassIn});
    std::string bytes = net::dns::write(query);
    auto fd = connect_dns_socket(false, server.address, server.port);
    if (!fd.ok() || send(fd->get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) continue;
    probes_[name] = server.address;
  }
}

bool Forwarder::is_own_probe(const net::dns::Question& question) {
  if (question.type != kHinfo) return false;
  auto found = probes_.find(question.name);
  if (found == probes_.end()) return false;
  base::log(base::Level::kWarning, "dns", "name server {} leads back here: it is not asked",
            found->second);
  std::erase_if(servers_, [&](const DnsTarget& s) { return s.address == found->second; });
  probes_.erase(found);
  return true;
}

void Forwarder::forward(std::string_view query, bool tcp, const std::vector<DnsTarget>& targets,
                        std::function<void(std::string)> done) {
  if (query.size() < kHeaderBytes || question_end(query) == 0 ||
      exchanges_.size() >= kMaxInFlight) {
    done({});
    return;
  }
  std::vector<DnsTarget> ask;
  for (const DnsTarget& target : targets.empty() ? servers() : targets) {
    bool ours = own_.count(target.address) > 0 && target.port == port_;
    if (!ours) ask.push_back(target);
  }
  auto exchange = std::make_shared<Exchange>(*this, query, tcp, std::move(ask), std::move(done));
  exchanges_.push_back(exchange);
  exchange->attempt();
}

void Forwarder::finish(Exchange* exchange) {
  exchanges_.remove_if([exchange](const auto& e) { return e.get() == exchange; });
}

}  // namespace knarr::agent
