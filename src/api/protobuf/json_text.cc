#include "api/protobuf/json_text.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <algorithm>

namespace knarr::api {
namespace {

void append_utf8(std::string& out, uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xc0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 63));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xe0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 63));
    out += static_cast<char>(0x80 | (c & 63));
  } else {
    out += static_cast<char>(0xf0 | c >> 18);
    out += static_cast<char>(0x80 | (c >> 12 & 63));
    out += static_cast<char>(0x80 | (c >> 6 & 63));
    out += static_cast<char>(0x80 | (c & 63));
  }
}

constexpr uint32_t kReplacement = 0xfffd;

constexpr size_t kBlock = 64;

// A bit for each byte of a block that is `c` once the bits of `with` are set in it.
uint64_t bytes_equal(const char* block, uint8_t with, uint8_t c) {
  uint64_t out = 0;
#ifdef __SSE2__
  for (size_t i = 0; i < kBlock; i += 16) {
    __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block + i));
    bytes = _mm_or_si128(bytes, _mm_set1_epi8(static_cast<char>(with)));
    int mask = _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(static_cast<char>(c))));
    out |= static_cast<uint64_t>(static_cast<uint32_t>(mask)) << i;
  }
#else
  for (size_t i = 0; i < kBlock; i++) {
    out |= uint64_t{(static_cast<uint8_t>(block[i]) | with) == c} << i;
  }
#endif
  return out;
}

// The brackets of 64 bytes that do not stand in strings, a bit for each byte.
struct Block {
  // From one block to the next.
  struct Carry {
    uint64_t escaped = 0;    // 1: the first byte is
    uint64_t in_string = 0;  // all bits: it begins in a string
  };
  uint64_t open = 0;
  uint64_t close = 0;

  void read(const char* block, Carry& carry) {
    uint64_t slashes = bytes_equal(block, 0, '\\');
    uint64_t escaped = carry.escaped;
    if (slashes == 0) {
      carry.escaped = 0;
    } else {
      // Runs of backslashes: every second byte after the first is escaped.
      constexpr uint64_t kOdd = 0xaaaaaaaaaaaaaaaa;
      uint64_t starts = slashes & ~escaped;
      uint64_t codes = (((starts << 1) | kOdd) - starts) ^ kOdd;
      escaped = codes ^ (slashes | escaped);
      carry.escaped = (codes & slashes) >> 63;
    }
    uint64_t inside = bytes_equal(block, 0, '"') & ~escaped;
    for (int shift = 1; shift < 64; shift *= 2) inside ^= inside << shift;
    inside ^= carry.in_string;
    carry.in_string = 0 - (inside >> 63);
    open = bytes_equal(block, 0x20, '{') & ~inside;   // and [
    close = bytes_equal(block, 0x20, '}') & ~inside;  // and ]
  }
};

}  // namespace

// We write no space; who does is understood.
char JsonText::peek_beyond_space() {
  while (at_ != end_ && static_cast<unsigned char>(*at_) <= ' ') ++at_;
  return at_ == end_ ? '\0' : *at_;
}

bool JsonText::hex4(uint32_t& out) {
  if (end_ - at_ < 4) return fail();
  out = 0;
  for (int i = 0; i < 4; i++) {
    char c = *at_++;
    uint32_t digit = 0;
    if (c >= '0' && c <= '9') {
      digit = static_cast<uint32_t>(c - '0');
    } else if ((c | 32) >= 'a' && (c | 32) <= 'f') {
      digit = static_cast<uint32_t>((c | 32) - 'a' + 10);
    } else {
      return fail();
    }
    out = out << 4 | digit;
  }
  return true;
}

// What follows a backslash, into scratch_.
bool JsonText::escape() {
  if (at_ == end_) return fail();
  char c = *at_++;
  switch (c) {
    case '"':
    case '\\':
    case '/': scratch_ += c; return true;
    case 'b': scratch_ += '\b'; return true;
    case 'f': scratch_ += '\f'; return true;
    case 'n': scratch_ += '\n'; return true;
    case 'r': scratch_ += '\r'; return true;
    case 't': scratch_ += '\t'; return true;
    case 'u': break;
    default: return fail();
  }
  uint32_t unit = 0;
  if (!hex4(unit)) return false;
  if (unit >= 0xd800 && unit < 0xdc00 && end_ - at_ >= 6 && at_[0] == '\\' && at_[1] == 'u') {
    const char* second = at_;
    at_ += 2;
    uint32_t low = 0;
    if (!hex4(low)) return false;
    if (low >= 0xdc00 && low < 0xe000) {
      append_utf8(scratch_, 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
      return true;
    }
    at_ = second;
  }
  append_utf8(scratch_, unit >= 0xd800 && unit < 0xe000 ? kReplacement : unit);
  return true;
}

std::string_view JsonText::unescape(const char* begin, const char* stop) {
  scratch_.assign(begin, stop);
  at_ = stop;
  while (at_ != end_) {
    if (*at_ == '"') {
      ++at_;
      return scratch_;
    }
    ++at_;
    if (!escape()) return {};
    const char* next = string_stop(at_);
    scratch_.append(at_, next);
    at_ = next;
  }
  fail();
  return {};
}

void JsonText::skip_string() {
  ++at_;
  while (true) {
    at_ = string_stop(at_);
    if (end_ - at_ < 2 && (at_ == end_ || *at_ == '\\')) {
      fail();
      return;
    }
    if (*at_ == '"') break;
    at_ += 2;
  }
  ++at_;
}

void JsonText::skip() {
  switch (peek()) {
    case '"': return skip_string();
    case '{':
    case '[': return skip_nested();
    case '}':
    case ']':
    case ',':
    case ':':
    case '\0': fail(); return;
    default: word();
  }
}

// A list or object: what stands in strings is told from what does not in 64 bytes at a time, as
// simdjson does (Langdale and Lemire, Parsing Gigabytes of JSON per Second, 2019), then brackets
// are counted.
void JsonText::skip_nested() {
  Block::Carry carry;
  size_t depth = 0;
  while (at_ != end_) {
    Block block;
    size_t n = std::min<size_t>(kBlock, static_cast<size_t>(end_ - at_));
    if (n == kBlock) {
      block.read(at_, carry);
    } else {
      char padded[kBlock];
      std::memset(padded, ' ', kBlock);
      std::memcpy(padded, at_, n);
      block.read(padded, carry);
    }
    auto closed = static_cast<size_t>(std::popcount(block.close));
    if (closed < depth) {
      depth = depth + static_cast<size_t>(std::popcount(block.open)) - closed;
      at_ += n;
      continue;
    }
    for (uint64_t bits = block.open | block.close; bits != 0; bits &= bits - 1) {
      int at = std::countr_zero(bits);
      if ((block.open >> at & 1) != 0) {
        ++depth;
      } else if (--depth == 0) {
        at_ += at + 1;
        return;
      }
    }
    at_ += n;
  }
  fail();
}

}  // namespace knarr::api
