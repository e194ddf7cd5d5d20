#include "net/frames.h"

#include <cassert>
#include <cstdint>

namespace knarr::net {

void append_frame(std::string& out, std::string_view message) {
  assert(message.size() <= kMostFramed);
  out += static_cast<char>(message.size() >> 8);
  out += static_cast<char>(message.size() & 0xff);
  out += message;
}

std::optional<std::string_view> FrameReader::next() {
  std::string_view rest = std::string_view(buffer_).substr(at_);
  if (rest.size() >= 2) {
    size_t size = static_cast<size_t>(static_cast<uint8_t>(rest[0])) << 8;
    size |= static_cast<uint8_t>(rest[1]);
    if (rest.size() >= 2 + size) {
      at_ += 2 + size;
      return rest.substr(2, size);
    }
  }
  buffer_.erase(0, at_);
  at_ = 0;
  return std::nullopt;
}

void FrameReader::clear() {
  buffer_.clear();
  at_ = 0;
}

}  // namespace knarr::net
