#include "api/codec/scalars.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>

#include "base/format.h"
#include "base/time.h"

namespace knarr::api {

namespace {

constexpr std::string_view kLayout = "2006-01-02T15:04:05Z07:00";
constexpr std::string_view kMicroLayout = "2006-01-02T15:04:05.000000Z07:00";

std::string go_quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

bool digits(std::string_view text, size_t n) {
  if (text.size() < n) return false;
  for (size_t i = 0; i < n; i++) {
    if (text[i] < '0' || text[i] > '9') return false;
  }
  return true;
}

bool is_zone(std::string_view text) {
  if (text.starts_with('Z')) return true;
  return text.size() >= 6 && (text[0] == '+' || text[0] == '-') && digits(text.substr(1), 2) &&
         text[3] == ':' && digits(text.substr(4), 2);
}

// Where and why Go's time.Parse gives up on a text that is no moment.
Error time_error(std::string_view text, std::string_view layout) {
  std::string head = "parsing time " + go_quoted(text);
  auto cannot = [&](std::string_view rest, std::string_view element) {
    return make_error(Code::kBadRequest, head + " as " + go_quoted(layout) + ": cannot parse " +
                                             go_quoted(rest) + " as " + go_quoted(element));
  };
  static constexpr std::string_view kParts[] = {"2006", "-", "01", "-", "02", "T",
                                                "15",   ":", "04", ":", "05"};
  static constexpr const char* kNames[] = {nullptr, nullptr, "month",  nullptr, "day",   nullptr,
                                           "hour",  nullptr, "minute", nullptr, "second"};
  static constexpr int kMax[] = {9999, 0, 12, 0, 31, 0, 23, 0, 59, 0, 59};
  std::string_view rest = text;
  for (size_t i = 0; i < 11; i++) {
    std::string_view part = kParts[i];
    bool fits = kNames[i] != nullptr || i == 0 ? digits(rest, part.size()) : rest.starts_with(part);
    if (!fits) return cannot(rest, part);
    if (kNames[i] != nullptr) {
      int value = (rest[0] - '0') * 10 + rest[1] - '0';
      if (value > kMax[i] || ((i == 2 || i == 4) && value == 0)) {
        return make_error(Code::kBadRequest, head + ": " + kNames[i] + " out of range");
      }
    }
    rest.remove_prefix(part.size());
  }
  if (layout == kMicroLayout) {
    if (!rest.starts_with('.') || !digits(rest.substr(1), 6)) return cannot(rest, ".000000");
    rest.remove_prefix(7);
  } else if (rest.size() > 1 && rest[0] == '.' && digits(rest.substr(1), 1)) {
    rest.remove_prefix(2);
    while (digits(rest, 1)) rest.remove_prefix(1);
  }
  if (!is_zone(rest)) return cannot(rest, "Z07:00");
  rest.remove_prefix(rest[0] == 'Z' ? 1 : 6);
  if (!rest.empty()) {
    return make_error(Code::kBadRequest, head + ": extra text: " + go_quoted(rest));
  }
  return make_error(Code::kBadRequest, head + ": day out of range");
}

// Nanoseconds of one unit of a duration text; 0 when there is no such unit.
double unit_ns(std::string_view unit) {
  if (unit == "ns") return 1;
  if (unit == "us" || unit == "µs" || unit == "μs") return 1e3;
  if (unit == "ms") return 1e6;
  if (unit == "s") return 1e9;
  if (unit == "m") return 60e9;
  if (unit == "h") return 3600e9;
  return 0;
}

Result<int64_t> parse_duration(std::string_view text) {
  auto invalid = [&](const char* why) {
    return make_error(Code::kBadRequest, std::string("time: ") + why + go_quoted(text));
  };
  std::string_view rest = text;
  bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  if (rest == "0") return int64_t{0};
  if (rest.empty()) return invalid("invalid duration ");
  double total = 0;
  int64_t whole_total = 0;
  while (!rest.empty()) {
    size_t n = 0;
    while (n < rest.size() && ((rest[n] >= '0' && rest[n] <= '9') || rest[n] == '.')) n++;
    std::string_view number = rest.substr(0, n);
    double value = 0;
    auto parsed = std::from_chars(number.data(), number.data() + number.size(), value);
    if (n == 0 || number == "." || parsed.ptr != number.data() + number.size()) {
      return invalid("invalid duration ");
    }
    rest.remove_prefix(n);
    n = 0;
    while (n < rest.size() && rest[n] != '.' && (rest[n] < '0' || rest[n] > '9')) n++;
    if (n == 0) return invalid("missing unit in duration ");
    std::string_view unit = rest.substr(0, n);
    double ns = unit_ns(unit);
    if (ns == 0) {
      return make_error(Code::kBadRequest, "time: unknown unit " + go_quoted(unit) +
                                               " in duration " + go_quoted(text));
    }
    rest.remove_prefix(n);
    total += value * ns;
    if (total > 9.2e18) return invalid("invalid duration ");
    bool whole = number.find('.') == std::string_view::npos;
    int64_t integer = 0;
    std::from_chars(number.data(), number.data() + number.size(), integer);
    whole_total +=
        whole ? integer * static_cast<int64_t>(ns) : static_cast<int64_t>(std::llround(value * ns));
  }
  return negative ? -whole_total : whole_total;
}

// n / scale with its fraction, trailing zeros cut.
void append_fraction(std::string& out, uint64_t n, uint64_t scale) {
  out += std::to_string(n / scale);
  uint64_t rest = n % scale;
  if (rest == 0) return;
  std::string digits_text = std::to_string(scale + rest).substr(1);
  while (digits_text.back() == '0') digits_text.pop_back();
  out += '.';
  out += digits_text;
}

std::string format_duration(int64_t ns) {
  if (ns == 0) return "0s";
  std::string out = ns < 0 ? "-" : "";
  uint64_t n = ns < 0 ? 0 - static_cast<uint64_t>(ns) : static_cast<uint64_t>(ns);
  if (n < 1000) return out + std::to_string(n) + "ns";
  if (n < 1000000) {
    append_fraction(out, n, 1000);
    return out + "µs";
  }
  if (n < 1000000000) {
    append_fraction(out, n, 1000000);
    return out + "ms";
  }
  uint64_t minutes = n / 60000000000ULL;
  if (minutes >= 60) out += std::to_string(minutes / 60) + "h";
  if (minutes > 0) out += std::to_string(minutes % 60) + "m";
  append_fraction(out, n % 60000000000ULL, 1000000000);
  return out + "s";
}

int hex_value(char c) {
  if (c <= '9') return c - '0';
  return (c | 32) - 'a' + 10;
}

uint32_t hex4(std::string_view text) {
  uint32_t value = 0;
  for (char c : text.substr(0, 4)) value = value * 16 + static_cast<uint32_t>(hex_value(c));
  return value;
}

// The length of the well-formed UTF-8 sequence at the front; 0 when there is none.
size_t utf8_length(std::string_view text) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned char first = byte(0);
  if (first < 0x80) return 1;
  size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  if (byte(1) < low || byte(1) > high) return 0;
  for (size_t i = 2; i < length; i++) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  return length;
}

// A \uXXXX escape, after its "\u", with the low surrogate that may follow; the bytes it took.
size_t append_unicode_escape(std::string& out, std::string_view text) {
  uint32_t code = hex4(text);
  if (code < 0xd800 || code > 0xdfff) {
    append_utf8(out, code);
    return 4;
  }
  if (code < 0xdc00 && text.size() >= 10 && text[4] == '\\' && text[5] == 'u') {
    uint32_t low = hex4(text.substr(6));
    if (low >= 0xdc00 && low <= 0xdfff) {
      append_utf8(out, 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00));
      return 10;
    }
  }
  append_utf8(out, 0xfffd);
  return 4;
}

}  // namespace

Result<std::string> canonical_time(std::string_view text) {
  auto us = base::parse_time(text);
  if (!us.ok()) return time_error(text, kLayout);
  return base::format_time(*us);
}

Result<std::string> canonical_micro_time(std::string_view text) {
  auto us = base::parse_time(text);
  bool six = text.size() > 27 - 1 && text[19] == '.' && digits(text.substr(20), 6) &&
             !digits(text.substr(26), 1);
  if (!us.ok() || !six) return time_error(text, kMicroLayout);
  return base::format_micro_time(*us);
}

Result<std::string> canonical_duration(std::string_view text) {
  auto ns = parse_duration(text);
  if (!ns.ok()) return std::move(ns).error();
  return format_duration(*ns);
}

// fmt knows the shortest digits; where the point stands, and when there is an exponent, is JSON's.
void append_double(std::string& out, double value) {
  std::string text = fmt::format("{}", value);
  std::string digits;
  int point = 0;  // the value is 0.<digits> * 10^point
  bool fraction = false;
  size_t at = text[0] == '-' ? 1 : 0;
  if (at == 1) out += '-';
  for (; at < text.size() && text[at] != 'e'; at++) {
    if (text[at] == '.') {
      fraction = true;
    } else {
      digits += text[at];
      point += fraction ? 0 : 1;
    }
  }
  if (at < text.size()) point += std::atoi(text.c_str() + at + 1);
  size_t zeros = std::min(digits.find_first_not_of('0'), digits.size() - 1);
  digits.erase(0, zeros);
  point -= static_cast<int>(zeros);
  while (digits.size() > 1 && digits.back() == '0') digits.pop_back();

  double size = std::fabs(value);
  int count = static_cast<int>(digits.size());
  if (size != 0 && (size < 1e-6 || size >= 1e21)) {
    if (count > 1) digits.insert(1, 1, '.');
    out += fmt::format("{}e{:+}", digits, point - 1);
  } else if (point <= 0) {
    out += "0." + std::string(static_cast<size_t>(-point), '0') + digits;
  } else if (point >= count) {
    out += digits + std::string(static_cast<size_t>(point - count), '0');
  } else {
    out += digits.insert(static_cast<size_t>(point), 1, '.');
  }
}

void append_utf8(std::string& out, uint32_t c) {
  auto put = [&](uint32_t byte) { out += static_cast<char>(byte); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xc0 | (c >> 6));
    put(0x80 | (c & 63));
  } else if (c < 0x10000) {
    put(0xe0 | (c >> 12));
    put(0x80 | ((c >> 6) & 63));
    put(0x80 | (c & 63));
  } else {
    put(0xf0 | (c >> 18));
    put(0x80 | ((c >> 12) & 63));
    put(0x80 | ((c >> 6) & 63));
    put(0x80 | (c & 63));
  }
}

std::string unescape_json_string(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  size_t i = 0;
  while (i < text.size()) {
    if (text[i] == '\\') {
      char c = text[i + 1];
      i += 2;
      switch (c) {
        case 'b': out += '\b'; break;
        case 'f': out += '\f'; break;
        case 'n': out += '\n'; break;
        case 'r': out += '\r'; break;
        case 't': out += '\t'; break;
        case 'u': i += append_unicode_escape(out, text.substr(i)); break;
        default: out += c;
      }
      continue;
    }
    size_t length = utf8_length(text.substr(i));
    if (length == 0) {
      append_utf8(out, 0xfffd);
      i++;
    } else {
      out.append(text, i, length);
      i += length;
    }
  }
  return out;
}

bool is_utf8(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    if (static_cast<signed char>(text[i]) >= 0) {
      i++;
      continue;
    }
    size_t length = utf8_length(text.substr(i));
    if (length == 0) return false;
    i += length;
  }
  return true;
}

}  // namespace knarr::api
