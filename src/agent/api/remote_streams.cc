#include "agent/api/remote_streams.h"

#include <algorithm>
#include <array>
#include <optional>

namespace knarr::agent {

namespace {

constexpr int kChannels = 5;

struct Named {
  const char* name;
  RemoteStream stream;
};
constexpr std::array<Named, 5> kNames = {{{"stdin", RemoteStream::kStdin},
                                          {"stdout", RemoteStream::kStdout},
                                          {"stderr", RemoteStream::kStderr},
                                          {"error", RemoteStream::kError},
                                          {"resize", RemoteStream::kResize}}};

// The newest protocol that both sides speak.
std::string choose(const std::vector<std::string_view>& offered) {
  for (const char* ours : {"v5.channel.k8s.io", "v4.channel.k8s.io"}) {
    for (std::string_view theirs : offered) {
      if (theirs == ours) return ours;
    }
  }
  return "";
}

size_t count_of(const RemoteWanted& wanted) {
  return 1U + (wanted.stdin_open ? 1 : 0) + (wanted.stdout_open ? 1 : 0) +
         (wanted.stderr_open && !wanted.tty ? 1 : 0) + (wanted.tty ? 1 : 0);
}

}  // namespace

net::ByteStream* RemoteStreams::get(RemoteStream stream) const {
  auto it = streams_.find(stream);
  return it == streams_.end() ? nullptr : it->second.get();
}

void RemoteStreams::finish(const std::string& status_json) {
  if (net::ByteStream* error = get(RemoteStream::kError)) {
    error->write(status_json);
  }
  for (auto& [name, stream] : streams_) stream->finish();
  if (spdy_) spdy_->finish();
}

// Gathers the streams of one connection.
class RemoteAccept : public std::enable_shared_from_this<RemoteAccept> {
 public:
  using Ready = std::function<void(std::unique_ptr<RemoteStreams>)>;
  explicit RemoteAccept(Ready ready) : ready_(std::move(ready)) {}

  void websocket(std::unique_ptr<net::WebSocket> socket, bool close_signal) {
    auto streams = std::make_unique<RemoteStreams>();
    streams->channels_ =
        std::make_unique<net::WebSocketChannels>(std::move(socket), kChannels, close_signal);
    for (const Named& n : kNames) {
      streams->streams_[n.stream] = streams->channels_->channel(static_cast<int>(n.stream));
    }
    ready_(std::move(streams));
  }

  // The session holds this until all its streams are there, or it breaks.
  void spdy(std::unique_ptr<net::SpdyConnection> connection, size_t expected) {
    streams_ = std::make_unique<RemoteStreams>();
    streams_->spdy_ = std::move(connection);
    net::SpdyConnection::Events events;
    auto self = shared_from_this();
    events.on_stream = [self, expected](std::unique_ptr<net::SpdyStream> stream) {
      self->add(std::move(stream), expected);
    };
    events.on_close = [self](const Error&) { self->streams_.reset(); };
    streams_->spdy_->listen(std::move(events));
  }

 private:
  void add(std::unique_ptr<net::SpdyStream> stream, size_t expected) {
    if (!streams_) return;
    std::string_view type = stream->headers().get("streamtype");
    for (const Named& n : kNames) {
      if (type == n.name) streams_->streams_[n.stream] = std::move(stream);
    }
    if (streams_->streams_.size() == expected) ready_(std::move(streams_));
  }

  Ready ready_;
  std::unique_ptr<RemoteStreams> streams_;
};

Result<void> accept_remote(const net::ExchangePtr& exchange, const RemoteWanted& wanted,
                           std::function<void(std::unique_ptr<RemoteStreams>)> ready) {
  auto accept = std::make_shared<RemoteAccept>(std::move(ready));
  if (net::is_websocket_request(exchange->request)) {
    std::vector<std::string> offered = net::offered_subprotocols(exchange->request);
    std::string protocol = choose({offered.begin(), offered.end()});
    if (protocol.empty() && !offered.empty()) {
      return make_error(Code::kForbidden, "none of the offered subprotocols is supported");
    }
    TRY_ASSIGN(auto socket, net::accept_websocket(*exchange, protocol));
    accept->websocket(std::move(socket), protocol == "v5.channel.k8s.io");
    return {};
  }
  if (!net::is_spdy_request(exchange->request)) {
    return make_error(Code::kBadRequest, "Upgrade request required");
  }
  auto offered = exchange->request.headers.all("X-Stream-Protocol-Version");
  std::vector<std::string_view> known;
  for (std::string_view o : offered) {
    // v5 needs a WebSocket's close signal.
    if (o != "v5.channel.k8s.io") known.push_back(o);
  }
  std::string protocol = choose(known);
  if (protocol.empty()) {
    return make_error(Code::kForbidden, "none of the offered stream protocols is supported");
  }
  TRY_ASSIGN(auto connection,
             net::accept_spdy(*exchange, {{"X-Stream-Protocol-Version", protocol}}));
  accept->spdy(std::move(connection), count_of(wanted));
  return {};
}

}  // namespace knarr::agent
