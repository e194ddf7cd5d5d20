// A walk over JSON text that makes no values: what is read is a view of the text. For text that we
// wrote ourselves; anything else is refused or read wrong, but never past its end. The whole of
// RFC 8259 is not checked.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "api/protobuf/short_bytes.h"

namespace knarr::api {

class JsonText {
 public:
  explicit JsonText(std::string_view text) : at_(text.data()), end_(at_ + text.size()) {}

  // The text is not JSON. Nothing more is read then: peek() says 0.
  bool failed() const { return failed_; }
  bool fail() {
    failed_ = true;
    at_ = end_;
    return false;
  }

  // The first character of what comes; 0 at the end.
  char peek() {
    if (at_ != end_ && static_cast<unsigned char>(*at_) > ' ') [[likely]]
      return *at_;
    return peek_beyond_space();
  }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  bool expect(char c) { return take(c) || fail(); }
  // After a member or element: whether another comes, or `close`.
  bool more(char close) {
    if (take(',')) return true;
    expect(close);
    return false;
  }

  // The key of a member is this name, and is taken with its colon. peek() must be its quote.
  bool take_key(std::string_view name) {
    size_t n = name.size();
    if (static_cast<size_t>(end_ - at_) < n + 2 || at_[n + 1] != '"' ||
        !same_bytes(at_ + 1, name.data(), n)) {
      return false;
    }
    at_ += n + 2;
    return expect(':');
  }

  // A string, without its escapes; the view lasts until the next one is read.
  std::string_view string() {
    if (!expect('"')) return {};
    const char* begin = at_;
    const char* stop = string_stop(at_);
    if (stop == end_) {
      fail();
      return {};
    }
    if (*stop == '\\') return unescape(begin, stop);
    at_ = stop + 1;
    return {begin, static_cast<size_t>(stop - begin)};
  }

  // Any value, as its text.
  std::string_view raw() {
    peek();
    const char* begin = at_;
    skip();
    return {begin, static_cast<size_t>(failed_ ? 0 : at_ - begin)};
  }
  // "true" or "12" and the like, as text: what is neither a string, a list nor an object.
  std::string_view word() {
    peek();
    const char* begin = at_;
    while (at_ != end_ && *at_ != ',' && *at_ != '}' && *at_ != ']' &&
           static_cast<unsigned char>(*at_) > ' ') {
      ++at_;
    }
    if (at_ == begin) fail();
    return {begin, static_cast<size_t>(at_ - begin)};
  }
  void skip();

 private:
  // The first quote or backslash from `p` on, or the end.
  const char* string_stop(const char* p) const {
    constexpr uint64_t kOnes = 0x0101010101010101;
    constexpr uint64_t kTops = 0x8080808080808080;
    while (std::endian::native == std::endian::little && end_ - p >= 8) {
      uint64_t eight = 0;
      std::memcpy(&eight, p, 8);
      uint64_t quote = eight ^ (kOnes * '"');
      uint64_t slash = eight ^ (kOnes * '\\');
      // The lowest bit that is set marks a byte that is zero.
      uint64_t hit = (((quote - kOnes) & ~quote) | ((slash - kOnes) & ~slash)) & kTops;
      if (hit != 0) return p + std::countr_zero(hit) / 8;
      p += 8;
    }
    while (p != end_ && *p != '"' && *p != '\\') ++p;
    return p;
  }
  std::string_view unescape(const char* begin, const char* stop);
  bool escape();
  bool hex4(uint32_t& out);
  void skip_string();
  char peek_beyond_space();
  void skip_nested();

  const char* at_;
  const char* end_;
  bool failed_ = false;
  std::string scratch_;  // of a string that had escapes
};

}  // namespace knarr::api
