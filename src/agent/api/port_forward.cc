#include "agent/api/port_forward.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <memory>
#include <vector>

#include "base/format.h"
#include "net/dial.h"
#include "net/spdy.h"
#include "net/websocket.h"

namespace knarr::agent {

namespace {

constexpr char kProtocol[] = "portforward.k8s.io";
constexpr char kTunnel[] = "SPDY/3.1+portforward.k8s.io";
constexpr char kChannels[] = "v4.channel.k8s.io";

uint16_t port_number(std::string_view text) {
  uint16_t port = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() ? port : 0;
}

class Forwarding : public std::enable_shared_from_this<Forwarding> {
 public:
  Forwarding(base::Loop& loop, runtime::Runtime& runtime, PortForwardTarget target)
      : loop_(loop), runtime_(runtime), target_(std::move(target)) {}

  void run_spdy(std::unique_ptr<net::SpdyConnection> connection) {
    connection_ = std::move(connection);
    auto self = shared_from_this();  // until the session closes
    net::SpdyConnection::Events events;
    events.on_stream = [self](std::unique_ptr<net::SpdyStream> s) { self->add(std::move(s)); };
    events.on_close = [self](const Error&) {
      self->loop_.defer([self] {
        self->waiting_.clear();
        self->connection_.reset();
      });
    };
    connection_->listen(std::move(events));
  }

  void run_channels(std::unique_ptr<net::WebSocket> socket, const std::vector<uint16_t>& ports) {
    net::WebSocketChannels channels(std::move(socket), static_cast<int>(ports.size()) * 2, false);
    for (size_t i = 0; i < ports.size(); i++) {
      auto data = channels.channel(static_cast<int>(2 * i));
      auto error = channels.channel(static_cast<int>(2 * i + 1));
      std::string hello = {static_cast<char>(ports[i] & 0xff), static_cast<char>(ports[i] >> 8)};
      data->write(hello);
      error->write(hello);
      forward(ports[i], std::move(data), std::move(error));
    }
  }

 private:
  struct Pair {
    std::unique_ptr<net::SpdyStream> data, error;
    uint16_t port = 0;
  };

  // A data and an error stream belong together by their request id.
  void add(std::unique_ptr<net::SpdyStream> stream) {
    std::string id(stream->headers().get("requestid"));
    Pair& pair = waiting_[id];
    pair.port = port_number(stream->headers().get("port"));
    bool is_error = stream->headers().get("streamtype") == "error";
    (is_error ? pair.error : pair.data) = std::move(stream);
    if (!pair.data || !pair.error) return;
    Pair both = std::move(pair);
    waiting_.erase(id);
    forward(both.port, std::move(both.data), std::move(both.error));
  }

  void forward(uint16_t port, std::unique_ptr<net::ByteStream> data,
               std::unique_ptr<net::ByteStream> error) {
    auto streams = std::make_shared<
        std::pair<std::unique_ptr<net::ByteStream>, std::unique_ptr<net::ByteStream>>>(
        std::move(data), std::move(error));
    runtime_.dial(target_.sandbox_id, port,
                  [self = shared_from_this(), streams, port](Result<int> fd) {
                    if (!fd.ok()) {
                      self->refuse(port, fd.error(), *streams->first, *streams->second);
                      return;
                    }
                    streams->second->finish();  // nothing went wrong
                    net::splice(std::move(streams->first),
                                net::adopt_fd(self->loop_, base::UniqueFd(*fd)), {});
                  });
  }

  void refuse(uint16_t port, const Error& why, net::ByteStream& data, net::ByteStream& error) {
    error.write(
        fmt::format("error forwarding port {} to pod {}, uid : failed to connect to "
                    "localhost:{} inside the pod's network namespace: {}",
                    port, target_.pod, port, why.message));
    error.finish();
    data.finish();
  }

  base::Loop& loop_;
  runtime::Runtime& runtime_;
  PortForwardTarget target_;
  std::unique_ptr<net::SpdyConnection> connection_;
  std::map<std::string, Pair> waiting_;
};

bool offers(const std::vector<std::string>& protocols, const char* name) {
  return std::find(protocols.begin(), protocols.end(), name) != protocols.end();
}

Result<std::vector<uint16_t>> ports_of(const net::Query& query) {
  std::vector<uint16_t> ports;
  for (std::string_view list : query.all("ports")) {
    while (!list.empty()) {
      size_t comma = std::min(list.find(','), list.size());
      uint16_t port = port_number(list.substr(0, comma));
      if (port == 0) return make_error(Code::kBadRequest, "query parameter \"port\" is not a port");
      ports.push_back(port);
      list.remove_prefix(std::min(comma + 1, list.size()));
    }
  }
  if (ports.empty()) {
    return make_error(Code::kBadRequest, "query parameter \"port\" is required");
  }
  return ports;
}

}  // namespace

Result<void> start_port_forward(const net::ExchangePtr& exchange, base::Loop& loop,
                                runtime::Runtime& runtime, PortForwardTarget target,
                                const net::Query& query) {
  auto forwarding = std::make_shared<Forwarding>(loop, runtime, std::move(target));
  if (net::is_websocket_request(exchange->request)) {
    std::vector<std::string> offered = net::offered_subprotocols(exchange->request);
    if (offers(offered, kTunnel)) {
      TRY_ASSIGN(auto socket, net::accept_websocket(*exchange, kTunnel));
      forwarding->run_spdy(std::make_unique<net::SpdyConnection>(
          net::websocket_bytes(std::move(socket)), net::SpdyConnection::Role::kServer));
      return {};
    }
    TRY_ASSIGN(std::vector<uint16_t> ports, ports_of(query));
    TRY_ASSIGN(auto socket,
               net::accept_websocket(*exchange, offers(offered, kChannels) ? kChannels : ""));
    forwarding->run_channels(std::move(socket), ports);
    return {};
  }
  if (!net::is_spdy_request(exchange->request)) {
    return make_error(Code::kBadRequest, "Upgrade request required");
  }
  TRY_ASSIGN(auto connection,
             net::accept_spdy(*exchange, {{"X-Stream-Protocol-Version", kProtocol}}));
  forwarding->run_spdy(std::move(connection));
  return {};
}

}  // namespace knarr::agent
