// One HTTP/1.1 connection of a server. Requests are answered one after the other: what a client
// pipelines waits in `input_`.
//
//   kIdle -> kHead -> kBody -> kAnswer -> kIdle ...      (kHead: the first byte has come)
//   any   -> kLinger   an error was answered: input is thrown away so that the answer arrives
//   any   -> kClosed
//
// Between requests nothing is read while the peer leaves more than kHighWater of answers unread.
#include <algorithm>

#include "knarr/check.h"
#include "net/chunk.h"
#include "net/http1_parser.h"
#include "net/server_core.h"

namespace knarr::net {

namespace {

constexpr size_t kPipelinedBytes = 256 * 1024;  // kept while an answer is under way
constexpr size_t kLingerBytes = 1024 * 1024;    // read and thrown away after an early answer
constexpr int64_t kLingerMs = 2000;

class Http1Connection;

class Http1Exchange final : public ServerExchange {
 public:
  Http1Exchange(Http1Connection* connection, bool head, bool keep_alive, bool chunked)
      : connection_(connection), head_(head), keep_alive_(keep_alive), chunked_(chunked) {}
  ~Http1Exchange() override;

  void respond(int status, Headers headers, Buffers body) override;
  void start(int status, Headers headers) override;
  bool write(Buffers bytes) override;
  void finish() override;
  void abort() override;
  bool started() const override { return started_; }
  bool open() const override { return connection_ != nullptr; }
  size_t queued_bytes() const override;
  Result<std::unique_ptr<ByteStream>> upgrade(Headers headers) override;

 private:
  void lose() override { connection_ = nullptr; }
  std::string head_text(int status, const Headers& headers, const std::string& framing);
  void over(bool keep);

  Http1Connection* connection_;  // null when over
  bool head_;                    // the request was a HEAD
  bool keep_alive_;
  bool chunked_;  // the client understands it
  bool started_ = false;
  bool bodiless_ = false;
};

class Http1Connection final : public ServerConnection,
                              public std::enable_shared_from_this<Http1Connection> {
 public:
  Http1Connection(ServerCore& core, std::unique_ptr<Socket> socket)
      : core_(core),
        socket_(std::move(socket)),
        parser_(Http1Parser::Role::kRequest, core.limits.header_bytes) {
    info_ = std::make_shared<const ConnectionInfo>(socket_->info());
  }
  ~Http1Connection() override {
    drop_body();
    if (exchange_ != nullptr) std::exchange(exchange_, nullptr)->closed();
  }

  void start() override {
    ByteStream::Events events;
    events.on_data = [this](std::string_view bytes) { on_data(bytes); };
    events.on_end = [this] { close(); };
    events.on_drain = [this] {
      if (exchange_ != nullptr) return exchange_->drained();
      if (state_ == State::kIdle) read_next();
    };
    events.on_close = [this](const Error&) { close(); };
    socket_->listen(std::move(events));
    core_.set_deadline(*this, core_.limits.idle_timeout_ms);
  }
  void drain() override {
    if (state_ == State::kIdle) close();
  }
  void expire() override {
    if (state_ == State::kBody || state_ == State::kHead) return refuse(408);
    close();
  }

  Socket& socket() { return *socket_; }
  ServerCore& core() { return core_; }
  bool keeps_alive() const { return !core_.draining; }
  // The exchange is answered, or dropped in the middle (keep is false then).
  void answered(bool keep);
  std::unique_ptr<ByteStream> take_socket();
  void cut() { core_.remove(this); }

 private:
  enum class State { kIdle, kHead, kBody, kAnswer, kLinger, kClosed };

  void on_data(std::string_view bytes);
  std::string_view parse(std::string_view bytes, std::string& pipelined);
  bool on_head();
  void on_body(std::string_view part);
  void drop_body();
  void dispatch();
  void read_next();
  // true: the answers wait for the peer; on_drain comes.
  bool crowded() { return socket_->queued_bytes() > kHighWater && !socket_->write(Buffers()); }
  void refuse(int status);
  void linger();
  void close() {
    if (state_ == State::kClosed) return;
    state_ = State::kClosed;
    auto keep = shared_from_this();
    core_.remove(this);
    socket_->finish();
  }

  ServerCore& core_;
  std::unique_ptr<Socket> socket_;
  Http1Parser parser_;
  std::shared_ptr<const ConnectionInfo> info_;
  State state_ = State::kIdle;
  std::string input_;  // not parsed yet
  std::string body_;
  int refusal_ = 0;  // the status that the body is refused with
  size_t lingered_ = 0;
  Http1Exchange* exchange_ = nullptr;
  bool parsing_ = false;
};

void Http1Connection::on_data(std::string_view bytes) {
  auto keep = shared_from_this();
  if (state_ == State::kLinger) {
    lingered_ += bytes.size();
    if (lingered_ > kLingerBytes) close();
    return;
  }
  if (state_ == State::kAnswer) {
    input_ += bytes;
    if (input_.size() > kPipelinedBytes) socket_->pause();
    return;
  }
  std::string waiting;
  if (!input_.empty()) {
    waiting = std::exchange(input_, {});
    waiting += bytes;
    bytes = waiting;
  }
  std::string pipelined;
  std::string_view rest = parse(bytes, pipelined);
  if (state_ != State::kClosed) input_ += rest;
}

// Parses until the bytes are used up or an answer is under way; the bytes that are left, which may
// lie in `pipelined`.
std::string_view Http1Connection::parse(std::string_view bytes, std::string& pipelined) {
  parsing_ = true;
  std::function<void(std::string_view)> on_body = [this](std::string_view p) { this->on_body(p); };
  while (!bytes.empty() && state_ < State::kAnswer) {
    if (state_ == State::kIdle) {
      if (crowded()) {
        socket_->pause();
        break;
      }
      state_ = State::kHead;
      core_.set_deadline(*this, core_.limits.header_timeout_ms);
    }
    Result<size_t> used = parser_.feed(bytes, on_body);
    if (!used.ok()) {
      refuse(used.error().code == Code::kRequestEntityTooLarge ? 431 : 400);
      break;
    }
    bytes.remove_prefix(*used);
    if (refusal_ != 0) {
      refuse(refusal_);
      break;
    }
    if (state_ == State::kHead && parser_.head_done() && !on_head()) break;
    if (parser_.done()) {
      // What follows belongs to whoever takes the connection over.
      input_.assign(bytes);
      bytes = {};
      dispatch();
      if (state_ == State::kIdle && !input_.empty()) {
        pipelined = std::exchange(input_, {});
        bytes = pipelined;
      }
    } else if (*used == 0) {
      break;
    }
  }
  parsing_ = false;
  return bytes;
}

// The head is complete. false: it was refused.
bool Http1Connection::on_head() {
  const Http1Parser::Head& head = parser_.head();
  if (head.content_length && *head.content_length > core_.limits.body_bytes) {
    refuse(413);
    return false;
  }
  state_ = State::kBody;
  if (parser_.done()) return true;
  core_.set_deadline(*this, core_.limits.body_timeout_ms);
  if (head.headers.has_token("expect", "100-continue") && head.version == 11) {
    socket_->write("HTTP/1.1 100 Continue\r\n\r\n");
  }
  return true;
}

void Http1Connection::on_body(std::string_view part) {
  if (body_.size() + part.size() > core_.limits.body_bytes) {
    refusal_ = 413;
  } else if (!core_.buffered(static_cast<int64_t>(part.size()))) {
    core_.buffered(-static_cast<int64_t>(part.size()));
    refusal_ = 429;
  } else {
    body_ += part;
  }
}

void Http1Connection::drop_body() {
  if (body_.empty()) return;
  core_.buffered(-static_cast<int64_t>(body_.size()));
  body_ = std::string();
}

void Http1Connection::dispatch() {
  Http1Parser::Head& head = parser_.head();
  core_.set_deadline(*this, 0);
  Request request;
  if (!split_target(head.target, request)) return refuse(400);
  auto exchange = std::make_shared<Http1Exchange>(this, head.method == "HEAD", head.keep_alive,
                                                  head.version == 11);
  state_ = State::kAnswer;
  exchange_ = exchange.get();
  request.method = std::move(head.method);
  request.headers = std::move(head.headers);
  core_.buffered(-static_cast<int64_t>(body_.size()));
  request.body = std::exchange(body_, {});
  request.version = head.version;
  request.connection = info_;
  exchange->request = std::move(request);
  core_.handler(std::move(exchange));
}

void Http1Connection::answered(bool keep) {
  exchange_ = nullptr;
  if (state_ != State::kAnswer) return;
  if (!keep || core_.draining) return linger();
  parser_.reset();
  state_ = State::kIdle;
  core_.set_deadline(*this, core_.limits.idle_timeout_ms);
  if (!parsing_) read_next();  // else parse() goes on
}

// A pipelined request is parsed from the top of the stack: through the socket, at the turn's end.
void Http1Connection::read_next() {
  if (crowded()) return socket_->pause();
  socket_->resume();
  socket_->unread(std::exchange(input_, {}));
}

std::unique_ptr<ByteStream> Http1Connection::take_socket() {
  auto keep = shared_from_this();
  exchange_ = nullptr;
  state_ = State::kClosed;
  socket_->unlisten();
  std::unique_ptr<Socket> socket = std::move(socket_);
  socket->unread(std::exchange(input_, {}));
  core_.gave_away(*socket);
  core_.remove(this);
  return socket;
}

void Http1Connection::refuse(int status) {
  Refusal answer = refusal_of(core_.limits, status);
  socket_->write("HTTP/1.1 " + std::to_string(status) + " " + std::string(reason_phrase(status)) +
                 "\r\nContent-Type: " + answer.type + "\r\nConnection: close\r\n" +
                 (status == 429 ? "Retry-After: 1\r\n" : "") + "Content-Length: " +
                 std::to_string(answer.body.size()) + "\r\n\r\n" + answer.body);
  linger();
}

// What the client still sends is read for a while: closing at once would reset the connection, and
// the answer could be lost with it.
void Http1Connection::linger() {
  state_ = State::kLinger;
  input_ = std::string();
  drop_body();
  socket_->finish();
  socket_->resume();
  core_.set_deadline(*this, kLingerMs);
}

Http1Exchange::~Http1Exchange() {
  if (connection_ == nullptr) return;
  drop_callbacks();
  if (started_) {
    abort();
  } else {
    respond(500, {{"Content-Type", "text/plain; charset=utf-8"}}, "Internal Server Error\n");
  }
}

std::string Http1Exchange::head_text(int status, const Headers& headers,
                                     const std::string& framing) {
  std::string out;
  out.reserve(160 + headers.bytes() + headers.size() * 4);
  out += "HTTP/1.1 ";
  out += std::to_string(status);
  out += ' ';
  out += reason_phrase(status);
  out += "\r\nDate: ";
  out += connection_->core().date();
  for (const Headers::Field& field : headers) {
    if (equal_ignoring_case(field.name, "content-length") && !framing.empty()) continue;
    if (equal_ignoring_case(field.name, "transfer-encoding")) continue;
    if (equal_ignoring_case(field.name, "connection") && status != 101) continue;
    out += "\r\n";
    out += field.name;
    out += ": ";
    append_value(out, field.value);
  }
  if (!framing.empty()) out += "\r\n" + framing;
  if (status != 101 && !(keep_alive_ && connection_->keeps_alive())) {
    keep_alive_ = false;
    out += "\r\nConnection: close";
  }
  out += "\r\n\r\n";
  return out;
}

// Nothing of this exchange is sent any more. The connection may start the next request.
void Http1Exchange::over(bool keep) {
  drop_callbacks();
  std::exchange(connection_, nullptr)->answered(keep);
}

void Http1Exchange::respond(int status, Headers headers, Buffers body) {
  if (connection_ == nullptr) return;
  CHECK(!started_);
  started_ = true;
  bool empty = status < 200 || status == 204 || status == 304;
  std::string framing = empty ? std::string() : "Content-Length: " + std::to_string(body.size());
  if (head_ && body.empty() && headers.has("content-length")) framing.clear();
  Buffers out(head_text(status, headers, framing));
  if (!head_ && !empty) out.append(std::move(body));
  connection_->socket().write(std::move(out));
  over(keep_alive_);
}

void Http1Exchange::start(int status, Headers headers) {
  if (connection_ == nullptr) return;
  CHECK(!started_);
  started_ = true;
  bodiless_ = head_ || status == 204 || status == 304;
  if (!chunked_) keep_alive_ = false;  // the end of the connection is the end of the answer
  connection_->socket().write(
      head_text(status, headers, chunked_ && status != 204 ? "Transfer-Encoding: chunked" : ""));
}

bool Http1Exchange::write(Buffers bytes) {
  if (connection_ == nullptr) return false;
  CHECK(started_);
  if (bytes.empty() || bodiless_) return true;
  if (!chunked_) return connection_->socket().write(std::move(bytes));
  return connection_->socket().write(chunk(std::move(bytes)));
}

void Http1Exchange::finish() {
  if (connection_ == nullptr) return;
  CHECK(started_);
  if (chunked_ && !bodiless_) connection_->socket().write(kLastChunk);
  over(keep_alive_);
}

void Http1Exchange::abort() {
  if (connection_ == nullptr) return;
  drop_callbacks();
  Http1Connection* connection = std::exchange(connection_, nullptr);
  connection->answered(false);
  connection->cut();
}

size_t Http1Exchange::queued_bytes() const {
  return connection_ == nullptr ? 0 : connection_->socket().queued_bytes();
}

Result<std::unique_ptr<ByteStream>> Http1Exchange::upgrade(Headers headers) {
  if (connection_ == nullptr) return make_error(Code::kCanceled, "the client has gone");
  if (started_) return make_error(Code::kBadRequest, "the request is answered already");
  started_ = true;
  connection_->socket().write(head_text(101, headers, ""));
  drop_callbacks();
  return std::exchange(connection_, nullptr)->take_socket();
}

}  // namespace

std::shared_ptr<ServerConnection> make_http1_connection(ServerCore& core,
                                                        std::unique_ptr<Socket> socket) {
  return std::make_shared<Http1Connection>(core, std::move(socket));
}

}  // namespace knarr::net
