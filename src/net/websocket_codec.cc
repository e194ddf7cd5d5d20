// RFC 6455 frames. Every rule a peer can break is checked, and answered with the close code that
// the RFC names for it.
#include <openssl/rand.h>

#include <cstring>
#include <optional>

#include "net/websocket.h"

namespace knarr::net {

namespace {

enum Opcode : uint8_t {
  kContinuation = 0,
  kText = 1,
  kBinary = 2,
  kClose = 8,
  kPing = 9,
  kPong = 10
};

bool valid_utf8(std::string_view s) {
  for (size_t i = 0; i < s.size();) {
    auto c = static_cast<unsigned char>(s[i]);
    size_t more = c < 0x80                ? 0
                  : c >= 0xc2 && c < 0xe0 ? 1
                  : c >= 0xe0 && c < 0xf0 ? 2
                  : c >= 0xf0 && c < 0xf5 ? 3
                                          : 4;
    if (more == 4 || i + more >= s.size() + (more == 0 ? 1 : 0)) return false;
    for (size_t k = 1; k <= more; k++) {
      auto d = static_cast<unsigned char>(s[i + k]);
      unsigned char low = 0x80, high = 0xbf;
      if (k == 1 && c == 0xe0) low = 0xa0;
      if (k == 1 && c == 0xed) high = 0x9f;
      if (k == 1 && c == 0xf0) low = 0x90;
      if (k == 1 && c == 0xf4) high = 0x8f;
      if (d < low || d > high) return false;
    }
    i += more + 1;
  }
  return true;
}

bool valid_close_code(uint16_t code) {
  return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
         (code >= 3000 && code < 5000);
}

}  // namespace

struct WebSocketCodec::Impl {
  Role role;
  size_t limit;
  std::string input;
  size_t used = 0;  // of the input
  std::string output;
  std::optional<std::string> pong;  // the answer to the last ping
  std::string message;              // fragments so far
  uint8_t message_kind = 0;         // opcode of the first fragment; 0: none is open
  bool closed = false;              // a close frame was sent, or the input is broken
  uint8_t masks[256];               // random bytes for a client's frames
  size_t masks_left = 0;

  Error fail(uint16_t code, const char* why) {
    send_close(code, why);
    drop_input();
    return make_error(Code::kBadRequest, std::string("websocket: ") + why);
  }
  void drop_input() {
    input.clear();
    used = 0;
  }
  void send_close(uint16_t code, std::string_view reason) {
    if (std::exchange(closed, true)) return;
    std::string payload;
    if (code != 1005) {
      payload += static_cast<char>(code >> 8);
      payload += static_cast<char>(code & 255);
      payload += reason.substr(0, 123);
    }
    frame(kClose, payload);
  }
  void frame(uint8_t opcode, std::string_view payload);
  Result<bool> next(std::vector<WebSocketMessage>& out);
  Result<void> take(uint8_t opcode, bool fin, std::string payload,
                    std::vector<WebSocketMessage>& out);
  Result<void> control(uint8_t opcode, std::string payload, std::vector<WebSocketMessage>& out);
};

void WebSocketCodec::Impl::frame(uint8_t opcode, std::string_view payload) {
  char head[14];
  size_t n = 0;
  head[n++] = static_cast<char>(0x80 | opcode);
  uint8_t mask_bit = role == Role::kClient ? 0x80 : 0;
  if (payload.size() < 126) {
    head[n++] = static_cast<char>(mask_bit | payload.size());
  } else {
    int bytes = payload.size() < 65536 ? 2 : 8;
    head[n++] = static_cast<char>(mask_bit | (bytes == 2 ? 126 : 127));
    for (int i = bytes - 1; i >= 0; i--) {
      head[n++] = static_cast<char>(static_cast<uint64_t>(payload.size()) >> (8 * i));
    }
  }
  if (role == Role::kServer) {
    output.append(head, n);
    output.append(payload);
    return;
  }
  if (masks_left == 0) {
    RAND_bytes(masks, sizeof masks);
    masks_left = sizeof masks;
  }
  masks_left -= 4;
  const uint8_t* mask = masks + masks_left;
  memcpy(head + n, mask, 4);
  output.append(head, n + 4);
  size_t at = output.size();
  output.append(payload);
  for (size_t i = 0; i < payload.size(); i++) {
    output[at + i] = static_cast<char>(output[at + i] ^ mask[i & 3]);
  }
}

// One frame off the input; false: it is not complete yet.
Result<bool> WebSocketCodec::Impl::next(std::vector<WebSocketMessage>& out) {
  std::string_view in = std::string_view(input).substr(used);
  const auto* b = reinterpret_cast<const unsigned char*>(in.data());
  if (in.size() < 2) return false;
  uint8_t opcode = b[0] & 15;
  bool fin = (b[0] & 0x80) != 0;
  bool masked = (b[1] & 0x80) != 0;
  if ((b[0] & 0x70) != 0) return fail(1002, "reserved bits are set");
  if (masked != (role == Role::kServer)) return fail(1002, "bad MASK");
  size_t head = 2;
  uint64_t size = b[1] & 127;
  if (opcode >= 8 && (size > 125 || !fin)) return fail(1002, "bad control frame");
  if (size >= 126) {
    size_t bytes = size == 126 ? 2 : 8;
    if (in.size() < head + bytes) return false;
    size = 0;
    for (size_t i = 0; i < bytes; i++) size = size << 8 | b[head + i];
    head += bytes;
  }
  if (opcode < 8 && (size > limit || message.size() + size > limit)) {
    return fail(1009, "message too big");
  }
  size_t mask_at = head;
  if (masked) head += 4;
  if (in.size() < head || in.size() - head < size) return false;
  std::string payload(in.substr(head, size));
  if (masked) {
    for (size_t i = 0; i < payload.size(); i++) {
      payload[i] = static_cast<char>(payload[i] ^ b[mask_at + (i & 3)]);
    }
  }
  used += head + size;
  TRY(take(opcode, fin, std::move(payload), out));
  return true;
}

Result<void> WebSocketCodec::Impl::take(uint8_t opcode, bool fin, std::string payload,
                                        std::vector<WebSocketMessage>& out) {
  if (opcode >= 8) return control(opcode, std::move(payload), out);
  if (opcode > kBinary) return fail(1002, "unknown opcode");
  if ((opcode == kContinuation) != (message_kind != 0)) return fail(1002, "bad fragment");
  if (opcode != kContinuation) message_kind = opcode;
  if (message.empty()) {
    message = std::move(payload);
  } else {
    message += payload;
  }
  if (!fin) return {};
  bool text = std::exchange(message_kind, 0) == kText;
  if (text && !valid_utf8(message)) return fail(1007, "text is not UTF-8");
  out.push_back({text ? WebSocketMessage::Kind::kText : WebSocketMessage::Kind::kBinary,
                 std::exchange(message, {}), 0});
  return {};
}

Result<void> WebSocketCodec::Impl::control(uint8_t opcode, std::string payload,
                                           std::vector<WebSocketMessage>& out) {
  if (opcode == kPing) {
    pong = payload;
    out.push_back({WebSocketMessage::Kind::kPing, std::move(payload), 0});
  } else if (opcode == kPong) {
    out.push_back({WebSocketMessage::Kind::kPong, std::move(payload), 0});
  } else if (opcode == kClose) {
    uint16_t code = 1005;
    if (payload.size() == 1) return fail(1002, "bad close payload");
    if (payload.size() >= 2) {
      code = static_cast<uint16_t>(static_cast<unsigned char>(payload[0]) << 8 |
                                   static_cast<unsigned char>(payload[1]));
      payload.erase(0, 2);
      if (!valid_close_code(code)) return fail(1002, "bad close code");
      if (!valid_utf8(payload)) return fail(1007, "close reason is not UTF-8");
    }
    send_close(code, {});
    out.push_back({WebSocketMessage::Kind::kClose, std::move(payload), code});
  } else {
    return fail(1002, "unknown opcode");
  }
  return {};
}

WebSocketCodec::WebSocketCodec(Role role, size_t max_message_bytes)
    : impl_(std::make_unique<Impl>()) {
  impl_->role = role;
  impl_->limit = max_message_bytes;
}

WebSocketCodec::~WebSocketCodec() = default;

Result<std::vector<WebSocketMessage>> WebSocketCodec::feed(std::string_view bytes) {
  std::vector<WebSocketMessage> out;
  impl_->input += bytes;
  while (true) {
    TRY_ASSIGN(bool more, impl_->next(out));
    if (!more) {
      impl_->input.erase(0, std::exchange(impl_->used, 0));
      return out;
    }
    if (!out.empty() && out.back().kind == WebSocketMessage::Kind::kClose) {
      impl_->drop_input();  // nothing after it counts
      return out;
    }
  }
}

void WebSocketCodec::queue(const WebSocketMessage& message) {
  if (impl_->closed) return;
  switch (message.kind) {
    case WebSocketMessage::Kind::kText: return impl_->frame(kText, message.data);
    case WebSocketMessage::Kind::kBinary: return impl_->frame(kBinary, message.data);
    case WebSocketMessage::Kind::kPing: return impl_->frame(kPing, message.data.substr(0, 125));
    case WebSocketMessage::Kind::kPong: return impl_->frame(kPong, message.data.substr(0, 125));
    case WebSocketMessage::Kind::kClose: return impl_->send_close(message.close_code, message.data);
  }
}

std::string WebSocketCodec::output() {
  auto pong = std::exchange(impl_->pong, std::nullopt);
  if (pong && !impl_->closed) impl_->frame(kPong, *pong);
  return std::exchange(impl_->output, {});
}

}  // namespace knarr::net
