// One HTTP/1.1 connection of a client: one request at a time.
#include "net/chunk.h"
#include "net/client_core.h"
#include "net/http1_parser.h"

namespace knarr::net {

namespace {

constexpr size_t kHeaderLimit = 256 * 1024;

std::string request_text(const Attempt& attempt) {
  const ClientRequest& r = attempt.request;
  std::string out = r.method + " " + attempt.url.path;
  if (!attempt.url.query.empty()) out += "?" + attempt.url.query;
  out += " HTTP/1.1\r\nHost: ";
  out += r.headers.has("host") ? std::string(r.headers.get("host")) : attempt.url.authority();
  for (const Headers::Field& field : r.headers) {
    if (equal_ignoring_case(field.name, "host") ||
        equal_ignoring_case(field.name, "content-length") ||
        equal_ignoring_case(field.name, "transfer-encoding")) {
      continue;
    }
    out += "\r\n";
    out += field.name;
    out += ": ";
    out += field.value;
  }
  if (r.stream_body) {
    out += "\r\nTransfer-Encoding: chunked";
  } else if (!r.body.empty() || r.method == "POST" || r.method == "PUT" || r.method == "PATCH") {
    out += "\r\nContent-Length: " + std::to_string(r.body.size());
  }
  out += "\r\n\r\n";
  return out;
}

class Http1Client final : public ClientConnection,
                          public std::enable_shared_from_this<Http1Client> {
 public:
  Http1Client(std::unique_ptr<Socket> socket, Events events)
      : socket_(std::move(socket)),
        events_(std::move(events)),
        parser_(Http1Parser::Role::kResponse, kHeaderLimit) {}

  void start() {
    ByteStream::Events events;
    events.on_data = [this](std::string_view bytes) { on_data(bytes); };
    events.on_end = [this] { on_end(); };
    events.on_drain = [this] {
      if (auto attempt = attempt_.lock()) attempt->on_drain();
    };
    events.on_close = [this](const Error& error) { fail(error); };
    socket_->listen(std::move(events));
  }

  bool available() const override { return !busy_ && !closed_; }
  bool idle() const override { return !busy_; }
  std::unique_ptr<Carrier> carry(const std::shared_ptr<Attempt>& attempt) override;

  // The attempt's Call is gone. Mid-answer the connection is of no more use.
  void canceled(uint64_t serial) {
    if (!carries(serial)) return;
    attempt_.reset();
    close();
  }
  Socket* socket() { return socket_.get(); }
  bool carries(uint64_t serial) const { return busy_ && !closed_ && serial == serial_; }
  bool sending(uint64_t serial) const { return carries(serial) && !sent_; }
  void sent() { sent_ = true; }
  void pause() {
    paused_ = true;
    socket_->pause();
  }
  void resume() {
    paused_ = false;
    socket_->resume();
    // The socket may be another's by then.
    socket_->later([weak = weak_from_this()] {
      if (auto self = weak.lock()) self->go_on();
    });
  }

 private:
  void go_on();
  void on_data(std::string_view bytes);
  void on_head();
  void on_end();
  void complete();
  void fail(const Error& error) {
    auto keep = shared_from_this();
    auto attempt = attempt_.lock();
    attempt_.reset();
    close();
    if (attempt) attempt->on_error(error);
  }
  void close() {
    if (std::exchange(closed_, true)) return;
    auto keep = shared_from_this();
    socket_.reset();
    auto told = std::exchange(events_.on_close, nullptr);
    events_ = {};
    if (told) told();
  }

  std::unique_ptr<Socket> socket_;
  Events events_;
  Http1Parser parser_;
  std::weak_ptr<Attempt> attempt_;
  std::string input_;
  bool paused_ = false;
  bool busy_ = false;  // an answer is outstanding
  bool sent_ = true;   // the request's body is complete
  bool closed_ = false;
  uint64_t serial_ = 0;  // of the request that is carried
};

class Http1Carrier final : public Carrier {
 public:
  Http1Carrier(std::shared_ptr<Http1Client> connection, uint64_t serial)
      : connection_(std::move(connection)), serial_(serial) {}
  ~Http1Carrier() override { connection_->canceled(serial_); }
  void pause() override {
    if (connection_->carries(serial_)) connection_->pause();
  }
  void resume() override {
    if (connection_->carries(serial_)) connection_->resume();
  }
  bool write(Buffers bytes) override {
    if (!connection_->sending(serial_)) return false;
    if (bytes.empty()) return true;
    return connection_->socket()->write(chunk(std::move(bytes)));
  }
  void finish() override {
    if (!connection_->sending(serial_)) return;
    connection_->socket()->write(kLastChunk);
    connection_->sent();
  }

 private:
  std::shared_ptr<Http1Client> connection_;
  uint64_t serial_;
};

std::unique_ptr<Carrier> Http1Client::carry(const std::shared_ptr<Attempt>& attempt) {
  attempt_ = attempt;
  busy_ = true;
  paused_ = false;
  attempt->reused = serial_++ > 0;
  parser_.reset();
  if (attempt->request.method == "HEAD") parser_.expect_no_body();
  Buffers out(request_text(*attempt));
  sent_ = !attempt->request.stream_body;
  if (!attempt->request.body.empty()) {
    out.append(sent_ ? attempt->request.body : chunk(attempt->request.body));
  }
  socket_->write(std::move(out));
  return std::make_unique<Http1Carrier>(shared_from_this(), serial_);
}

void Http1Client::on_data(std::string_view bytes) {
  auto keep = shared_from_this();
  if (!busy_) return close();  // an answer nobody asked for
  std::string waiting;
  if (!input_.empty()) {
    waiting = std::exchange(input_, {});
    waiting += bytes;
    bytes = waiting;
  }
  std::function<void(std::string_view)> on_body = [this](std::string_view part) {
    if (auto attempt = attempt_.lock()) attempt->on_data(part);
  };
  while (!closed_ && busy_ && !paused_ && !bytes.empty()) {
    if (parser_.done()) return complete();
    bool had_head = parser_.head_done();
    Result<size_t> used = parser_.feed(bytes, on_body);
    if (!used.ok()) return fail(make_error(Code::kServiceUnavailable, used.error().message));
    bytes.remove_prefix(*used);
    if (closed_) return;
    if (!had_head && parser_.head_done()) {
      int status = parser_.head().status;
      if (status == 101) {
        auto attempt = attempt_.lock();
        if (!attempt || !attempt->upgrade) {
          return fail(make_error(Code::kServiceUnavailable, "http: unexpected 101"));
        }
        attempt_.reset();
        std::unique_ptr<Socket> socket = std::move(socket_);
        socket->unlisten();
        socket->unread(std::string(bytes));
        attempt->on_headers(status, parser_.head().headers);
        close();
        return attempt->on_upgraded(std::move(socket));
      }
      if (status / 100 == 1) {
        parser_.reset();
        continue;
      }
      on_head();
      if (closed_) return;
    }
    if (parser_.done() && !paused_) return complete();
    if (*used == 0) break;
  }
  input_ += bytes;
}

// After a pause: what was read before it took effect, and the end of the answer.
void Http1Client::go_on() {
  auto keep = shared_from_this();
  if (!busy_ || closed_ || paused_) return;
  if (!input_.empty()) {
    on_data({});
  } else if (parser_.done()) {
    complete();
  }
}

void Http1Client::on_head() {
  auto attempt = attempt_.lock();
  if (!attempt) return;
  attempt->answered = true;
  attempt->on_headers(parser_.head().status, parser_.head().headers);
}

void Http1Client::on_end() {
  if (!busy_) return close();
  if (Result<void> ended = parser_.end(); !ended.ok()) {
    return fail(make_error(Code::kServiceUnavailable, "EOF: " + ended.error().message));
  }
  parser_.head().keep_alive = false;
  complete();
}

void Http1Client::complete() {
  auto keep = shared_from_this();
  auto attempt = attempt_.lock();
  attempt_.reset();
  bool again = parser_.head().keep_alive && sent_;
  busy_ = false;
  if (!again) close();
  if (attempt) attempt->on_end(Headers());
  if (!closed_ && !busy_) {
    socket_->resume();
    auto told = events_.on_idle;
    if (told) told();
  }
}

}  // namespace

std::shared_ptr<ClientConnection> make_http1_client(std::unique_ptr<Socket> socket,
                                                    std::shared_ptr<TurnQueue>,
                                                    ClientConnection::Events events) {
  auto connection = std::make_shared<Http1Client>(std::move(socket), std::move(events));
  connection->start();
  return connection;
}

}  // namespace knarr::net
