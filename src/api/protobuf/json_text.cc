#include "api/protobuf/json_text.h"

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

}  // namespace

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
  size_t depth = 0;
  do {
    switch (peek()) {
      case '"': skip_string(); break;
      case '{':
      case '[':
        ++depth;
        ++at_;
        break;
      case '}':
      case ']':
        if (depth == 0) {
          fail();
          return;
        }
        --depth;
        ++at_;
        break;
      case ',':
      case ':':
        if (depth == 0) {
          fail();
          return;
        }
        ++at_;
        break;
      case '\0': fail(); return;
      default: word();
    }
  } while (depth > 0);
}

}  // namespace knarr::api
