#include "api/codec/json_scan.h"

#include <string>

#include "base/json_text.h"

namespace knarr::api {

namespace {

constexpr size_t kMaxDepth = 10000;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

// A byte as Go quotes it in an error: read as a Latin-1 code point.
std::string quote_byte(char c) {
  if (c == '\'') return "'\\''";
  if (c == '"') return "'\"'";
  if (c == '\\') return "'\\\\'";
  auto byte = static_cast<unsigned char>(c);
  static constexpr char kHex[] = "0123456789abcdef";
  switch (c) {
    case '\a': return "'\\a'";
    case '\b': return "'\\b'";
    case '\f': return "'\\f'";
    case '\n': return "'\\n'";
    case '\r': return "'\\r'";
    case '\t': return "'\\t'";
    case '\v': return "'\\v'";
    default: break;
  }
  if (byte < 0x20 || byte == 0x7f) {
    return std::string("'\\x") + kHex[byte >> 4] + kHex[byte & 15] + "'";
  }
  if (byte < 0x80) return std::string("'") + c + "'";
  if (byte < 0xa1 || byte == 0xad)
    return std::string("'\\u00") + kHex[byte >> 4] + kHex[byte & 15] + "'";
  return std::string("'") + static_cast<char>(0xc0 | (byte >> 6)) +
         static_cast<char>(0x80 | (byte & 0x3f)) + "'";
}

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  Result<void> run() {
    while (true) {
      if (!value_start()) return std::move(error_);
      if (opened_) continue;
      bool more = false;
      if (!value_end(more)) return std::move(error_);
      if (!more) return {};
    }
  }

 private:
  enum class In : char { kObject, kArray };

  bool end() const { return at_ >= text_.size(); }
  void skip_space() {
    while (!end() && is_json_space(text_[at_])) at_++;
  }
  // At the end Go's scanner feeds itself a space: what can't be followed by one says so.
  bool fail(std::string_view context) {
    bool space_fits = !context.starts_with("in ") && context.find("decimal") == context.npos;
    if (end() && space_fits) {
      error_ = make_error(Code::kBadRequest, "unexpected end of JSON input");
    } else {
      error_ = make_error(
          Code::kBadRequest,
          "invalid character " + quote_byte(end() ? ' ' : text_[at_]) + " " + std::string(context));
    }
    return false;
  }
  bool open(In in) {
    at_++;
    stack_.push_back(static_cast<char>(in));
    if (stack_.size() > kMaxDepth) {
      error_ = make_error(Code::kBadRequest, "exceeded max depth");
      return false;
    }
    return true;
  }

  // Consumes a scalar, or the opening of a container (then opened_, unless it closes at once) up to
  // where the next value starts.
  bool value_start() {
    opened_ = false;
    skip_space();
    if (end()) return fail("");
    switch (text_[at_]) {
      case '{':
        if (!open(In::kObject)) return false;
        skip_space();
        if (!end() && text_[at_] == '}') return close();
        opened_ = true;
        return key();
      case '[':
        if (!open(In::kArray)) return false;
        skip_space();
        if (!end() && text_[at_] == ']') return close();
        opened_ = true;
        return true;
      case '"': return string();
      case 't': return literal("true");
      case 'f': return literal("false");
      case 'n': return literal("null");
      default:
        if (text_[at_] == '-' || is_digit(text_[at_])) return number();
        return fail("looking for beginning of value");
    }
  }

  bool close() {
    at_++;
    stack_.pop_back();
    return true;
  }

  // After a value: closes containers; `more` when another value follows.
  bool value_end(bool& more) {
    while (true) {
      skip_space();
      if (stack_.empty()) {
        more = false;
        return end() || fail("after top-level value");
      }
      bool object = stack_.back() == static_cast<char>(In::kObject);
      if (end()) return fail("");
      char c = text_[at_];
      if (c == ',') {
        at_++;
        more = true;
        return !object || key();
      }
      if (c != (object ? '}' : ']')) {
        return fail(object ? "after object key:value pair" : "after array element");
      }
      close();
    }
  }

  bool key() {
    skip_space();
    if (end() || text_[at_] != '"') return fail("looking for beginning of object key string");
    if (!string()) return false;
    skip_space();
    if (end() || text_[at_] != ':') return fail("after object key");
    at_++;
    return true;
  }

  bool string() {
    at_++;
    while (true) {
      at_ = json::end_of_plain(text_, at_);
      if (end()) break;
      char c = text_[at_];
      if (c == '"') {
        at_++;
        return true;
      }
      if (static_cast<unsigned char>(c) < 0x20) return fail("in string literal");
      at_++;
      if (c == '\\' && !escape()) return false;
    }
    return fail("");
  }

  bool escape() {
    if (end()) return fail("in string escape code");
    char c = text_[at_];
    if (std::string_view("\"\\/bfnrt").find(c) != std::string_view::npos) {
      at_++;
      return true;
    }
    if (c != 'u') return fail("in string escape code");
    at_++;
    for (int i = 0; i < 4; i++, at_++) {
      if (end() || !is_hex(text_[at_])) return fail("in \\u hexadecimal character escape");
    }
    return true;
  }

  bool literal(const char* word) {
    for (size_t i = 0; word[i] != 0; i++, at_++) {
      if (end() || text_[at_] != word[i]) {
        return fail(std::string("in literal ") + word + " (expecting '" + word[i] + "')");
      }
    }
    return true;
  }

  void digits() {
    while (!end() && is_digit(text_[at_])) at_++;
  }

  bool number() {
    if (text_[at_] == '-') {
      at_++;
      if (end() || !is_digit(text_[at_])) return fail("in numeric literal");
    }
    if (text_[at_] == '0') {
      at_++;
    } else {
      digits();
    }
    if (!end() && text_[at_] == '.') {
      at_++;
      if (end() || !is_digit(text_[at_])) return fail("after decimal point in numeric literal");
      digits();
    }
    if (!end() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      at_++;
      if (!end() && (text_[at_] == '+' || text_[at_] == '-')) at_++;
      if (end() || !is_digit(text_[at_])) return fail("in exponent of numeric literal");
      digits();
    }
    return true;
  }

  std::string_view text_;
  size_t at_ = 0;
  bool opened_ = false;
  std::string stack_;
  Error error_;
};

size_t skip_string(std::string_view text, size_t at) {
  for (at = json::end_of_plain(text, at + 1); text[at] != '"'; at = json::end_of_plain(text, at)) {
    at += text[at] == '\\' ? 2 : 1;
  }
  return at + 1;
}

}  // namespace

Result<void> check_json(std::string_view text) { return Scanner(text).run(); }

size_t skip_json_value(std::string_view text, size_t at) {
  size_t depth = 0;
  while (at < text.size()) {
    switch (text[at]) {
      case '"':
        at = skip_string(text, at);
        if (depth == 0) return at;
        continue;
      case '{':
      case '[': depth++; break;
      case '}':
      case ']':
        if (depth == 0) return at;  // a scalar ended where its container does
        if (--depth == 0) return at + 1;
        break;
      case ',':
      case ' ':
      case '\n':
      case '\r':
      case '\t':
        if (depth == 0) return at;
        break;
      default: break;
    }
    at++;
  }
  return at;
}

}  // namespace knarr::api
