// One HTTP/2 connection of a client: as many requests at once as the peer allows.
#include "net/client_core.h"
#include "net/http2_tunnel.h"

namespace knarr::net {

namespace {

constexpr size_t kHeaderLimit = 256 * 1024;

// One attempt on its stream. Deletes itself when the stream is closed; the carrier does when it
// cancels.
class ClientStream final : public Http2Stream::User {
 public:
  explicit ClientStream(std::weak_ptr<Attempt> attempt) : attempt_(std::move(attempt)) {}
  ~ClientStream() override {
    if (gone_ != nullptr) *gone_ = true;
  }
  void on_headers(bool) override {
    auto attempt = attempt_.lock();
    if (!attempt) return;
    attempt->answered = true;
    if (attempt->upgrade && stream->status / 100 == 2) return become_tunnel(*attempt);
    if (attempt->upgrade) stream->session->finish(*stream);  // refused
    attempt->on_headers(stream->status, stream->head);
  }
  void on_data(std::string_view bytes) override {
    if (auto attempt = attempt_.lock()) attempt->on_data(bytes);
  }
  void on_end() override {
    auto attempt = std::exchange(attempt_, {}).lock();
    Headers trailers = stream->trailers;  // the stream may go during the call
    if (attempt) attempt->on_end(trailers);
  }
  void on_drain() override {
    if (auto attempt = attempt_.lock()) attempt->on_drain();
  }
  void on_close(uint32_t error) override {
    auto attempt = attempt_.lock();
    if (carrier != nullptr) *carrier = nullptr;
    delete this;
    if (!attempt) return;
    attempt->on_error(make_error(Code::kServiceUnavailable, std::string("http2: stream closed: ") +
                                                                nghttp2_http2_strerror(error)));
  }

  Http2Stream* stream = nullptr;
  ClientStream** carrier = nullptr;  // the carrier's pointer to this

 private:
  // The head may make its reader cancel: then there is no tunnel, and no stream of ours.
  void become_tunnel(Attempt& attempt) {
    auto keep = attempt_.lock();
    bool gone = false;
    gone_ = &gone;
    attempt.on_headers(stream->status, Headers(stream->head));
    if (gone) return;
    gone_ = nullptr;
    if (carrier != nullptr) *carrier = nullptr;
    auto tunnel = std::make_unique<Http2Tunnel>(stream->session->shared_from_this(), *stream);
    delete this;
    attempt.on_upgraded(std::move(tunnel));
  }

  bool* gone_ = nullptr;  // told when this is destroyed
  std::weak_ptr<Attempt> attempt_;
};

class Http2Carrier final : public Carrier {
 public:
  Http2Carrier(std::shared_ptr<Http2Session> session, ClientStream* stream)
      : session_(std::move(session)), stream_(stream) {
    stream_->carrier = &stream_;
  }
  ~Http2Carrier() override {
    if (stream_ == nullptr) return;
    session_->reset(*stream_->stream, NGHTTP2_CANCEL);
    delete stream_;
  }
  void pause() override {
    if (stream_ != nullptr) stream_->stream->paused = true;
  }
  void resume() override {
    if (stream_ != nullptr) session_->resume(*stream_->stream);
  }
  bool write(Buffers bytes) override {
    return stream_ != nullptr && session_->write(*stream_->stream, std::move(bytes));
  }
  void finish() override {
    if (stream_ != nullptr) session_->finish(*stream_->stream);
  }

 private:
  std::shared_ptr<Http2Session> session_;
  ClientStream* stream_;  // null when it is closed
};

class Http2Client final : public ClientConnection,
                          public std::enable_shared_from_this<Http2Client> {
 public:
  Http2Client(std::unique_ptr<Socket> socket, std::shared_ptr<TurnQueue> turns, Events events)
      : session_(std::make_shared<Http2Session>(Http2Session::Role::kClient, std::move(socket),
                                                std::move(turns), kHeaderLimit, 0)),
        events_(std::move(events)) {}
  ~Http2Client() override { session_->stop(); }

  void start() {
    Http2Session::Events events;
    events.on_activity = [this] {
      bool idle = session_->streams() == 0;
      bool before = std::exchange(idle_, idle);
      if (!idle || before || !events_.on_idle) return;
      auto keep = shared_from_this();
      auto told = events_.on_idle;
      told();
    };
    events.on_close = [this](const Error&) {
      auto keep = shared_from_this();
      auto told = std::exchange(events_.on_close, nullptr);
      session_->stop();
      if (told) told();
    };
    session_->socket().expect_answers();
    session_->start(std::move(events));
  }
  bool available() const override {
    return session_->accepts_requests() && session_->streams() < session_->peer_max_streams();
  }
  bool idle() const override { return session_->streams() == 0; }

  std::unique_ptr<Carrier> carry(const std::shared_ptr<Attempt>& attempt) override {
    const ClientRequest& r = attempt->request;
    Headers headers;
    headers.add(":method", attempt->upgrade ? "CONNECT" : r.method);
    if (attempt->upgrade) headers.add(":protocol", r.protocol);
    headers.add(":scheme", attempt->url.scheme);
    headers.add(":authority", r.headers.has("host") ? std::string(r.headers.get("host"))
                                                    : attempt->url.authority());
    headers.add(":path", attempt->url.query.empty() ? attempt->url.path
                                                    : attempt->url.path + "?" + attempt->url.query);
    for (const Headers::Field& field : r.headers) {
      if (!equal_ignoring_case(field.name, "host")) headers.add(field.name, field.value);
    }
    bool has_body = attempt->upgrade || r.stream_body || !r.body.empty();
    bool whole = has_body && !attempt->upgrade && !r.stream_body;
    if (whole) {
      headers.set("content-length", std::to_string(r.body.size()));
    }
    Http2Stream* stream = session_->request(headers, has_body);
    if (stream == nullptr) return nullptr;
    attempt->reused = std::exchange(carried_, true);
    auto* user = new ClientStream(attempt);
    user->stream = stream;
    stream->user = user;
    if (!r.body.empty() && !attempt->upgrade) session_->write(*stream, r.body);
    if (whole) session_->finish(*stream);
    return std::make_unique<Http2Carrier>(session_, user);
  }

 private:
  std::shared_ptr<Http2Session> session_;
  Events events_;
  bool idle_ = true;
  bool carried_ = false;
};

}  // namespace

std::shared_ptr<ClientConnection> make_http2_client(std::unique_ptr<Socket> socket,
                                                    std::shared_ptr<TurnQueue> turns,
                                                    ClientConnection::Events events) {
  auto connection =
      std::make_shared<Http2Client>(std::move(socket), std::move(turns), std::move(events));
  connection->start();
  return connection;
}

}  // namespace knarr::net
