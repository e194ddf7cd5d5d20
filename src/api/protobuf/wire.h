// Messages as bytes, written one after the other into a buffer that grows.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "api/protobuf/short_bytes.h"

namespace knarr::api {

constexpr int kVarintWire = 0;
constexpr int kFixed64Wire = 1;
constexpr int kBytesWire = 2;

inline size_t varint_size(uint64_t v) {
  size_t n = 1;
  for (; v >= 128; v >>= 7) n++;
  return n;
}

inline char* put_varint(char* to, uint64_t v) {
  for (; v >= 128; v >>= 7) *to++ = static_cast<char>(v | 128);
  *to++ = static_cast<char>(v);
  return to;
}

class WireBuffer {
 public:
  size_t size() const { return used_; }
  std::string_view view(size_t from = 0) const { return {bytes_.data() + from, used_ - from}; }
  char* data() { return bytes_.data(); }
  void truncate(size_t size) { used_ = size; }
  // What was written; the buffer is empty afterwards.
  std::string take() {
    bytes_.resize(used_);
    used_ = 0;
    return std::exchange(bytes_, {});
  }

  // At least so many bytes can be written there; advance() says how many were.
  char* room(size_t n) {
    if (bytes_.size() - used_ < n) grow(n);
    return bytes_.data() + used_;
  }
  void advance_to(const char* end) { used_ = static_cast<size_t>(end - bytes_.data()); }

  void append(std::string_view text) {
    char* to = room(text.size());
    copy_bytes(to, text.data(), text.size());
    used_ += text.size();
  }
  void varint(uint64_t v) { advance_to(put_varint(room(kVarintMost), v)); }
  void tag(int number, int wire) {
    varint(static_cast<uint64_t>(number) << 3 | static_cast<uint64_t>(wire));
  }
  void integer(int number, int64_t v) {
    char* to = room(2 * kVarintMost);
    to = put_varint(to, static_cast<uint64_t>(number) << 3);
    advance_to(put_varint(to, static_cast<uint64_t>(v)));
  }
  void bytes(int number, std::string_view text) {
    char* to = room(2 * kVarintMost + text.size());
    to = put_varint(to, static_cast<uint64_t>(number) << 3 | kBytesWire);
    to = put_varint(to, text.size());
    copy_bytes(to, text.data(), text.size());
    advance_to(to + text.size());
  }

  // A length whose bytes come first: begin() leaves `guess` bytes for it, end() puts it there and
  // says how many it took.
  size_t begin(size_t guess) {
    room(guess);
    used_ += guess;
    return used_;
  }
  size_t end(size_t begun, size_t guess) {
    size_t size = used_ - begun;
    size_t took = varint_size(size);
    if (took != guess) {
      room(took);
      char* content = bytes_.data() + begun;
      std::memmove(content - guess + took, content, size);
      used_ = used_ - guess + took;
    }
    put_varint(bytes_.data() + begun - guess, size);
    return took;
  }

 private:
  static constexpr size_t kVarintMost = 10;
  void grow(size_t n);

  std::string bytes_;  // used up to used_
  size_t used_ = 0;
};

}  // namespace knarr::api
