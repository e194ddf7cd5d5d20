// One HTTP/2 connection of a server: each stream becomes a request when its body is complete; an
// extended CONNECT (RFC 8441) when its head is, and its body waits for who accepts it.
//
// A stream is incomplete from the first byte of its head to the last of its body, and due at the
// head's time, then at the body's. The connection's deadline is the earliest of them; with none, a
// connection without streams is idle, and one that answers has no deadline.
#include <algorithm>
#include <vector>

#include "knarr/check.h"
#include "net/http2_tunnel.h"
#include "net/server_core.h"
#include "net/websocket.h"

namespace knarr::net {

namespace {

constexpr size_t kBufferedBytes = 8 * 1024 * 1024;  // bodies of all streams of a connection

class Http2Connection;

class Http2Exchange final : public ServerExchange {
 public:
  explicit Http2Exchange(Http2Stream* stream) : stream_(stream) {}
  ~Http2Exchange() override;

  void respond(int status, Headers headers, Buffers body) override;
  void start(int status, Headers headers) override;
  bool write(Buffers bytes) override;
  void finish() override;
  void abort() override;
  bool started() const override { return started_; }
  bool open() const override { return stream_ != nullptr && !finished_; }
  size_t queued_bytes() const override { return stream_ == nullptr ? 0 : stream_->out.size(); }
  Result<std::unique_ptr<ByteStream>> upgrade(Headers headers) override;

 private:
  void lose() override { stream_ = nullptr; }
  Headers head(int status, const Headers& headers);
  void over() {
    finished_ = true;
    drop_callbacks();
  }

  Http2Stream* stream_;  // null when the peer has gone
  bool started_ = false;
  bool finished_ = false;
  bool bodiless_ = false;
};

// A request that is being read, then answered. Owns itself: deleted when its stream is closed.
class ServerStream final : public Http2Stream::User {
 public:
  ServerStream(Http2Connection* connection, Http2Stream& stream);
  ~ServerStream() override;

  void on_headers(bool end) override;
  void on_data(std::string_view bytes) override;
  void on_end() override;
  void on_drain() override {
    if (auto exchange = exchange_.lock()) exchange->drained();
  }
  void on_close(uint32_t) override {
    auto exchange = exchange_.lock();
    delete this;
    if (exchange) exchange->closed();
  }
  const std::string& date();
  void abandon() {
    stream_.session->reset(stream_, NGHTTP2_INTERNAL_ERROR);
    delete this;
  }
  void refuse(int status);
  int64_t due_ms() const { return due_ms_; }
  bool head_done() const { return stream_.head_done; }

 private:
  void drop_body();
  void hand_over();

  Http2Connection* connection_;  // outlives its streams
  Http2Stream& stream_;
  std::weak_ptr<Http2Exchange> exchange_;
  std::string body_;
  bool refused_ = false;
  int64_t due_ms_ = 0;  // while incomplete
};

class Http2Connection final : public ServerConnection,
                              public std::enable_shared_from_this<Http2Connection> {
 public:
  Http2Connection(ServerCore& core, std::unique_ptr<Socket> socket) : core_(core) {
    info_ = std::make_shared<const ConnectionInfo>(socket->info());
    session_ =
        std::make_shared<Http2Session>(Http2Session::Role::kServer, std::move(socket), core.turns,
                                       core.limits.header_bytes, core.limits.http2_streams);
  }
  ~Http2Connection() override { session_->stop(); }

  void start() override {
    Http2Session::Events events;
    events.on_stream = [this](Http2Stream& stream) {
      stream.user = new ServerStream(this, stream);
    };
    events.on_activity = [this] { update_deadline(); };
    events.on_close = [this](const Error&) { close(); };
    session_->start(std::move(events));
    core_.set_deadline(*this, core_.limits.idle_timeout_ms);
  }
  void drain() override { session_->goaway(); }
  void expire() override;

  ServerCore& core() { return core_; }
  const std::shared_ptr<const ConnectionInfo>& info() const { return info_; }
  void incomplete(ServerStream* stream) { incomplete_.push_back(stream); }
  void complete(ServerStream* stream) { std::erase(incomplete_, stream); }
  // Counts bytes of bodies that are being read. false: too many at once.
  bool buffered(int64_t change) {
    buffered_ += change;
    bool all = core_.buffered(change);
    return all && buffered_ <= static_cast<int64_t>(kBufferedBytes);
  }

 private:
  void update_deadline();
  void close() {
    auto keep = shared_from_this();
    core_.remove(this);
  }

  ServerCore& core_;
  std::shared_ptr<const ConnectionInfo> info_;
  std::shared_ptr<Http2Session> session_;
  std::vector<ServerStream*> incomplete_;
  int64_t buffered_ = 0;
  // What the deadline was last set for.
  bool idle_ = true;
  int64_t due_ms_ = 0;  // of the first incomplete stream; 0: there is none
};

// At the end of each turn in which something came or went.
void Http2Connection::update_deadline() {
  bool idle = session_->streams() == 0;
  if (idle && core_.draining) session_->goaway();
  int64_t due = 0;
  for (ServerStream* stream : incomplete_) {
    if (due == 0 || stream->due_ms() < due) due = stream->due_ms();
  }
  if (idle == idle_ && due == due_ms_) return;
  idle_ = idle;
  due_ms_ = due;
  if (due != 0) {
    core_.set_deadline(*this, std::max<int64_t>(1, due - core_.now_ms()));
  } else {
    core_.set_deadline(*this, idle ? core_.limits.idle_timeout_ms : 0);
  }
}

void Http2Connection::expire() {
  if (incomplete_.empty()) return session_->goaway();
  int64_t now = core_.now_ms();
  auto late = incomplete_;
  std::erase_if(late, [now](ServerStream* stream) { return stream->due_ms() > now; });
  for (ServerStream* stream : late) {
    // Nothing else may come on the connection before that head is complete (RFC 9113, 6.10).
    if (!stream->head_done()) {
      session_->goaway();
      return close();
    }
    stream->refuse(408);
  }
  due_ms_ = -1;
  update_deadline();
}

ServerStream::ServerStream(Http2Connection* connection, Http2Stream& stream)
    : connection_(connection), stream_(stream) {
  due_ms_ = connection_->core().now_ms() + connection_->core().limits.header_timeout_ms;
  connection_->incomplete(this);
}

ServerStream::~ServerStream() {
  drop_body();
  connection_->complete(this);
}

void ServerStream::drop_body() {
  connection_->buffered(-static_cast<int64_t>(body_.size()));
  body_ = std::string();
}

const std::string& ServerStream::date() { return connection_->core().date(); }

void ServerStream::on_headers(bool end) {
  if (stream_.too_large) return refuse(431);
  if (!stream_.protocol.empty()) {
    stream_.paused = true;
    return hand_over();  // which may end this
  }
  if (end) return;
  due_ms_ = connection_->core().now_ms() + connection_->core().limits.body_timeout_ms;
  std::string_view length = stream_.head.get("content-length");
  if (length.size() > 18 ||
      strtoull(std::string(length).c_str(), nullptr, 10) > connection_->core().limits.body_bytes) {
    refuse(413);
  }
}

void ServerStream::on_data(std::string_view bytes) {
  if (refused_) return;
  if (body_.size() + bytes.size() > connection_->core().limits.body_bytes) return refuse(413);
  body_ += bytes;
  if (!connection_->buffered(static_cast<int64_t>(bytes.size()))) refuse(429);
}

void ServerStream::on_end() {
  if (refused_) return connection_->complete(this);
  hand_over();
}

void ServerStream::hand_over() {
  connection_->complete(this);
  Request request;
  if (!split_target(stream_.path, request)) return refuse(400);
  request.method = std::move(stream_.method);
  request.protocol = std::move(stream_.protocol);
  if (request.protocol == kWebSocketProtocol) request.method = "GET";
  request.headers = std::move(stream_.head);
  if (!request.headers.has("host")) request.headers.add("host", stream_.authority);
  connection_->buffered(-static_cast<int64_t>(body_.size()));
  request.body = std::exchange(body_, {});
  request.version = 20;
  request.connection = connection_->info();
  auto exchange = std::make_shared<Http2Exchange>(&stream_);
  exchange->request = std::move(request);
  exchange_ = exchange;
  connection_->core().handler(std::move(exchange));
}

void ServerStream::refuse(int status) {
  if (std::exchange(refused_, true)) return;
  connection_->complete(this);
  drop_body();
  Refusal answer = refusal_of(connection_->core().limits, status);
  Headers headers{{":status", std::to_string(status)},
                  {"content-type", answer.type},
                  {"content-length", std::to_string(answer.body.size())}};
  if (status == 429) headers.add("retry-after", "1");
  stream_.session->respond(stream_, headers, true);
  stream_.session->write(stream_, std::move(answer.body));
  stream_.session->finish(stream_);
}

Http2Exchange::~Http2Exchange() {
  if (!open()) return;
  drop_callbacks();
  if (started_) {
    abort();
  } else {
    respond(500, {{"Content-Type", "text/plain; charset=utf-8"}}, "Internal Server Error\n");
  }
}

Headers Http2Exchange::head(int status, const Headers& headers) {
  Headers out;
  out.add(":status", std::to_string(status));
  out.add("date", static_cast<ServerStream*>(stream_->user)->date());
  for (const Headers::Field& field : headers) {
    std::string value;
    append_value(value, field.value);
    out.add(field.name, value);
  }
  return out;
}

void Http2Exchange::respond(int status, Headers headers, Buffers body) {
  if (!open()) return;
  CHECK(!started_);
  started_ = true;
  bool empty = status < 200 || status == 204 || status == 304;
  bool head_only = request.method == "HEAD";
  if (!empty && !(head_only && body.empty() && headers.has("content-length"))) {
    headers.set("content-length", std::to_string(body.size()));
  }
  bool has_body = !empty && !head_only && !body.empty();
  Http2Session& session = *stream_->session;
  session.respond(*stream_, head(status, headers), has_body);
  if (has_body) {
    session.write(*stream_, std::move(body));
    session.finish(*stream_);
  }
  over();
}

void Http2Exchange::start(int status, Headers headers) {
  if (!open()) return;
  CHECK(!started_);
  started_ = true;
  bodiless_ = status == 204 || status == 304 || request.method == "HEAD";
  stream_->session->respond(*stream_, head(status, headers), !bodiless_);
}

bool Http2Exchange::write(Buffers bytes) {
  if (!open()) return false;
  CHECK(started_);
  if (bodiless_ || bytes.empty()) return true;
  return stream_->session->write(*stream_, std::move(bytes));
}

void Http2Exchange::finish() {
  if (!open()) return;
  CHECK(started_);
  if (!bodiless_) stream_->session->finish(*stream_);
  over();
}

void Http2Exchange::abort() {
  if (!open()) return;
  over();
  static_cast<ServerStream*>(std::exchange(stream_, nullptr)->user)->abandon();
}

Result<std::unique_ptr<ByteStream>> Http2Exchange::upgrade(Headers headers) {
  if (!open()) return make_error(Code::kCanceled, "the client has gone");
  if (started_) return make_error(Code::kBadRequest, "the request is answered already");
  if (request.protocol.empty()) {
    return make_error(Code::kBadRequest, "HTTP/2 connections can not be upgraded");
  }
  started_ = true;
  for (const char* hop : {"connection", "upgrade", "sec-websocket-accept"}) headers.remove(hop);
  std::shared_ptr<Http2Session> session = stream_->session->shared_from_this();
  session->respond(*stream_, head(200, headers), true);
  session->socket().expect_answers();
  over();
  Http2Stream* stream = std::exchange(stream_, nullptr);
  std::unique_ptr<Http2Stream::User> before(stream->user);
  std::unique_ptr<ByteStream> tunnel = std::make_unique<Http2Tunnel>(std::move(session), *stream);
  return tunnel;
}

}  // namespace

std::shared_ptr<ServerConnection> make_http2_connection(ServerCore& core,
                                                        std::unique_ptr<Socket> socket) {
  return std::make_shared<Http2Connection>(core, std::move(socket));
}

}  // namespace knarr::net
