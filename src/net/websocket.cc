// The connection around the codec, and the handshake.
#include "net/websocket.h"

#include <openssl/evp.h>

#include <deque>

#include "base/base64.h"
#include "knarr/check.h"
#include "net/event_slot.h"
#include "net/socket.h"

namespace knarr::net {

struct WebSocket::State : std::enable_shared_from_this<State> {
  State(std::unique_ptr<ByteStream> s, WebSocketCodec::Role role, std::string protocol, size_t max)
      : stream(std::move(s)), role(role), codec(role, max), subprotocol(std::move(protocol)) {}

  std::unique_ptr<ByteStream> stream;
  WebSocketCodec::Role role;
  WebSocketCodec codec;
  std::string subprotocol;
  EventSlot<Events> events;
  std::deque<WebSocketMessage> pending;  // that came before a pause
  bool paused = false;
  bool closing = false;  // a close frame is on its way
  bool told = false;

  void flush() {
    std::string out = codec.output();
    if (!out.empty()) stream->write(std::move(out));
  }
  void over(uint16_t code, std::string_view reason) {
    if (std::exchange(told, true)) return;
    flush();
    stream->finish();
    events.call(&Events::on_close, code, reason);
  }
  void on_data(std::string_view bytes) {
    auto keep = shared_from_this();
    if (told) return;
    Result<std::vector<WebSocketMessage>> messages = codec.feed(bytes);
    if (!messages.ok()) return over(1006, messages.error().message);
    for (WebSocketMessage& m : *messages) pending.push_back(std::move(m));
    // Answers to a peer that does not read wait in the codec, where there is only ever one.
    if (stream->queued_bytes() <= kHighWater) flush();
    deliver();
  }
  void deliver() {
    auto keep = shared_from_this();
    while (!pending.empty() && !paused && !told) {
      WebSocketMessage m = std::move(pending.front());
      pending.pop_front();
      if (m.kind == WebSocketMessage::Kind::kClose) return over(m.close_code, m.data);
      bool text = m.kind == WebSocketMessage::Kind::kText;
      if (text || m.kind == WebSocketMessage::Kind::kBinary) {
        events.call(&Events::on_message, std::string_view(m.data), text);
      }
    }
  }
  void start() {
    ByteStream::Events e;
    e.on_data = [this](std::string_view bytes) { on_data(bytes); };
    e.on_end = [this] { over(1006, "unexpected EOF"); };
    e.on_drain = [this] {
      flush();
      events.call(&Events::on_drain);
    };
    e.on_close = [this](const Error& error) { over(1006, error.message); };
    stream->listen(std::move(e));
  }
};

WebSocket::WebSocket(std::unique_ptr<ByteStream> stream, WebSocketCodec::Role role,
                     std::string subprotocol, size_t max_message_bytes)
    : state_(std::make_shared<State>(std::move(stream), role, std::move(subprotocol),
                                     max_message_bytes)) {}

WebSocket::~WebSocket() {
  state_->events.clear();
  state_->told = true;
  if (state_->closing) state_->stream->finish();
  state_->stream.reset();
}

const std::string& WebSocket::subprotocol() const { return state_->subprotocol; }

WebSocketCodec::Role WebSocket::role() const { return state_->role; }

void WebSocket::listen(Events events) {
  state_->events.set(std::move(events));
  state_->start();
}

bool WebSocket::send(std::string_view bytes, bool text) {
  if (state_->told || state_->closing) return false;
  state_->codec.queue({text ? WebSocketMessage::Kind::kText : WebSocketMessage::Kind::kBinary,
                       std::string(bytes), 0});
  return state_->stream->write(state_->codec.output());
}

void WebSocket::ping(std::string_view payload) {
  state_->codec.queue({WebSocketMessage::Kind::kPing, std::string(payload), 0});
  state_->flush();
}

void WebSocket::close(uint16_t code, std::string_view reason) {
  if (state_->told || std::exchange(state_->closing, true)) return;
  state_->codec.queue({WebSocketMessage::Kind::kClose, std::string(reason), code});
  state_->flush();
}

size_t WebSocket::queued_bytes() const { return state_->stream->queued_bytes(); }

void WebSocket::pause() {
  state_->paused = true;
  state_->stream->pause();
}

void WebSocket::resume() {
  state_->paused = false;
  state_->stream->resume();
  if (!state_->pending.empty()) {
    later([state = state_] { state->deliver(); });
  }
}

void WebSocket::later(std::function<void()> fn) { state_->stream->later(std::move(fn)); }

bool is_websocket_request(const Request& request) {
  if (request.protocol == kWebSocketProtocol) return true;
  return request.headers.has_token("connection", "upgrade") &&
         request.headers.has_token("upgrade", "websocket");
}

std::vector<std::string> offered_subprotocols(const Request& request) {
  std::vector<std::string> out;
  for (std::string_view list : request.headers.all("sec-websocket-protocol")) {
    while (true) {
      size_t comma = list.find(',');
      std::string_view one = list.substr(0, comma);
      while (!one.empty() && one.front() == ' ') one.remove_prefix(1);
      while (!one.empty() && one.back() == ' ') one.remove_suffix(1);
      if (!one.empty()) out.emplace_back(one);
      if (comma == std::string_view::npos) break;
      list.remove_prefix(comma + 1);
    }
  }
  return out;
}

std::string websocket_accept_key(std::string_view key) {
  std::string text = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  CHECK(EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha1(), nullptr) == 1);
  return base::base64_encode({reinterpret_cast<char*>(digest), size});
}

Result<std::unique_ptr<WebSocket>> accept_websocket(Exchange& exchange, std::string subprotocol,
                                                    size_t max_message_bytes) {
  const Request& request = exchange.request;
  auto bad = [](const char* why) { return make_error(Code::kBadRequest, why); };
  if (!is_websocket_request(request)) return bad("not a websocket handshake");
  if (request.method != "GET") return bad("websocket handshake must be a GET");
  if (request.headers.get("sec-websocket-version") != "13") {
    return bad("unsupported websocket version");
  }
  Headers headers;
  if (request.protocol.empty()) {  // else the CONNECT itself says what is meant
    std::string_view key = request.headers.get("sec-websocket-key");
    if (key.size() != 24) return bad("bad Sec-WebSocket-Key");
    headers = {{"Upgrade", "websocket"},
               {"Connection", "Upgrade"},
               {"Sec-WebSocket-Accept", websocket_accept_key(key)}};
  }
  if (!subprotocol.empty()) headers.add("Sec-WebSocket-Protocol", subprotocol);
  TRY_ASSIGN(std::unique_ptr<ByteStream> stream, exchange.upgrade(std::move(headers)));
  return std::make_unique<WebSocket>(std::move(stream), WebSocketCodec::Role::kServer,
                                     std::move(subprotocol), max_message_bytes);
}

Headers websocket_request_headers(const std::string& key,
                                  const std::vector<std::string>& protocols) {
  Headers headers{{"Upgrade", "websocket"},
                  {"Connection", "Upgrade"},
                  {"Sec-WebSocket-Version", "13"},
                  {"Sec-WebSocket-Key", key}};
  for (const std::string& protocol : protocols) headers.add("Sec-WebSocket-Protocol", protocol);
  return headers;
}

}  // namespace knarr::net
