#include "agent/tunnel/tunnel.h"

#include <algorithm>
#include <charconv>

#include "agent/remote/remote_watch.h"
#include "base/format.h"
#include "base/log.h"
#include "knarr/names.h"

namespace knarr::agent {

namespace {

constexpr int64_t kAnswerMs = 15000;
constexpr int64_t kDialMs = 10000;
constexpr int64_t kMostOftenMs = 1000;
constexpr size_t kLineLimit = 1024;

std::string_view word(std::string_view& line) {
  size_t space = std::min(line.find(' '), line.size());
  std::string_view first = line.substr(0, space);
  line.remove_prefix(std::min(space + 1, line.size()));
  return first;
}

}  // namespace

Tunnel::Tunnel(base::Loop& loop, Random& random, TunnelOptions options)
    : loop_(loop),
      random_(random),
      options_(std::move(options)),
      servers_(options_.servers),
      server_(servers_.current()),
      http_(loop, {.tls = options_.tls}),
      retry_(loop.timer([this] { begin(); })) {
  retry_->start(0);
}

Tunnel::~Tunnel() = default;

net::ClientRequest Tunnel::request(const std::string& server, const std::string& path) const {
  net::ClientRequest request;
  request.url = server + path;
  request.protocol = kTunnelProtocol;
  request.timeout_ms = kAnswerMs;
  if (!options_.user_agent.empty()) request.headers.add("User-Agent", options_.user_agent);
  return request;
}

void Tunnel::begin() {
  next_server_ = servers_.current();
  opening_ = http_.upgrade(request(next_server_, kTunnelPath),
                           [this](Result<net::Response> answer) { opened(std::move(answer)); });
}

void Tunnel::opened(Result<net::Response> answer) {
  auto call = std::move(opening_);
  if (!answer.ok()) return again(next_server_, answer.error(), 0);
  if (!answer->stream) {
    return again(next_server_,
                 make_error(Code::kServiceUnavailable,
                            fmt::format("refused with {}: {}", answer->status, answer->body)),
                 0);
  }
  server_ = next_server_;
  servers_.answered(server_);
  opened_ms_ = loop_.monotonic_ms();
  failures_ = 0;
  if (control_) control_->finish();
  control_ = std::move(answer->stream);
  line_.clear();
  net::ByteStream::Events events;
  events.on_data = [this](std::string_view bytes) { read(bytes); };
  events.on_end = [this] { ended(make_error(Code::kServiceUnavailable, "closed by the server")); };
  events.on_close = [this](const Error& error) { ended(error); };
  control_->listen(std::move(events));
  if (options_.server_is_there) options_.server_is_there(false);
}

void Tunnel::ended(const Error& error) {
  if (!opening_) return lost(error);
  control_.reset();  // the next one is on its way
}

void Tunnel::lost(const Error& error) {
  control_.reset();
  line_.clear();
  failures_ = 0;
  again(server_, error, opened_ms_ + kMostOftenMs - loop_.monotonic_ms());
}

void Tunnel::again(const std::string& server, const Error& error, int64_t least_ms) {
  servers_.failed(server, loop_.monotonic_ms());
  failures_++;
  base::log(failures_ == 2 ? base::Level::kWarning : base::Level::kDebug, "tunnel", "to {}: {}",
            server, error.message);
  retry_->start(std::max(least_ms, retry_delay_ms(failures_, random_)));
}

Result<void> Tunnel::reload(const net::TlsConfig& tls) {
  TRY(http_.reload(tls));
  options_.tls = tls;
  retry_->stop();
  begin();
  return {};
}

void Tunnel::read(std::string_view bytes) {
  line_ += bytes;
  std::string lines = std::exchange(line_, {});
  size_t at = 0;
  for (size_t end; (end = lines.find('\n', at)) != std::string::npos; at = end + 1) {
    asked(std::string_view(lines).substr(at, end - at));
  }
  line_ = lines.substr(at);
  if (line_.size() > kLineLimit) {
    lost(make_error(Code::kInternalError, "the server sent a line without end"));
  }
}

// "dial 7 10.42.1.5 80", "packets"; other words are for nodes of another day.
void Tunnel::asked(std::string_view line) {
  std::string_view verb = word(line);
  if (verb == "packets" && options_.server_is_there) return options_.server_is_there(true);
  if (verb != "dial") return;
  std::string id(word(line)), host(word(line));
  uint16_t port = 0;
  auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), port);
  bool good = error == std::errc() && end == line.data() + line.size() && port != 0;
  if (id.empty() || host.empty() || !good || ways_.contains(id)) return;
  if (!options_.allowed(host, port)) {
    return refuse(id, fmt::format("dial tcp {}:{}: not an address of this node's", host, port));
  }
  ways_[id].dialing = net::dial_tcp(
      loop_, host, port, kDialMs,
      [this, id](Result<std::unique_ptr<net::ByteStream>> s) { dialed(id, std::move(s)); });
}

void Tunnel::dialed(const std::string& id_of, Result<std::unique_ptr<net::ByteStream>> stream) {
  std::string id = id_of;  // which goes with the dial
  Way& way = ways_[id];
  auto dialing = std::move(way.dialing);
  if (!stream.ok()) {
    ways_.erase(id);
    return refuse(id, stream.error().message);
  }
  way.stream = std::move(*stream);
  way.call =
      http_.upgrade(request(server_, std::string(kTunnelPath) + "/" + id),
                    [this, id](Result<net::Response> answer) { answered(id, std::move(answer)); });
}

// No stream: the server has given up on it, or cannot be reached.
void Tunnel::answered(const std::string& id, Result<net::Response> answer) {
  auto node = ways_.extract(id);
  if (!answer.ok() || !answer->stream) return;
  splices_.add(std::move(node.mapped().stream), std::move(answer->stream));
}

std::unique_ptr<net::Pending> Tunnel::open_packets(
    std::function<void(Result<std::unique_ptr<net::ByteStream>>)> done) {
  struct Opening final : net::Pending {
    std::unique_ptr<net::Call> call;
  };
  auto opening = std::make_unique<Opening>();
  opening->call = http_.upgrade(
      request(server_, kTunnelPacketsPath), [done = std::move(done)](Result<net::Response> answer) {
        if (!answer.ok()) return done(answer.error());
        if (!answer->stream) {
          return done(make_error(Code::kServiceUnavailable,
                                 fmt::format("refused with {}: {}", answer->status, answer->body)));
        }
        done(std::move(answer->stream));
      });
  return opening;
}

void Tunnel::refuse(const std::string& id, const std::string& why) {
  if (control_) control_->write(fmt::format("refused {} {}\n", id, why));
}

}  // namespace knarr::agent
