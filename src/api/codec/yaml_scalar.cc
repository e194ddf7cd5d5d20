#include "api/codec/yaml_scalar.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <string_view>

namespace knarr::api {

namespace {

bool one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

template <typename T>
bool parse_whole(std::string_view text, int base, T& out) {
  if (text.empty()) return false;
  auto end = text.data() + text.size();
  auto parsed = std::from_chars(text.data(), end, out, base);
  return parsed.ec == std::errc() && parsed.ptr == end;
}

// A Go integer literal: decimal, 0x, 0o, 0b, or octal with a leading 0; underscores are cut.
bool parse_integer(std::string_view plain, json::Value& out) {
  bool negative = plain.starts_with('-');
  if (negative || plain.starts_with('+')) plain.remove_prefix(1);
  if (plain.empty() || plain[0] < '0' || plain[0] > '9') return false;
  int base = 10;
  if (plain.size() > 1 && plain[0] == '0') {
    char kind = static_cast<char>(plain[1] | 32);
    base = kind == 'x' ? 16 : kind == 'b' ? 2 : 8;
    plain.remove_prefix(kind == 'x' || kind == 'b' || kind == 'o' ? 2 : 1);
  }
  uint64_t magnitude = 0;
  if (!parse_whole(plain, base, magnitude)) return false;
  if (magnitude <= INT64_MAX) {
    auto value = static_cast<int64_t>(magnitude);
    out = json::Value(negative ? -value : value);
    return true;
  }
  if (negative) return false;
  out = json::Value(magnitude);
  return true;
}

// [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
bool looks_like_float(std::string_view text) {
  size_t i = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  auto digits = [&] {
    size_t start = i;
    while (i < text.size() && text[i] >= '0' && text[i] <= '9') i++;
    return i > start;
  };
  bool whole = digits();
  if (i < text.size() && text[i] == '.') {
    i++;
    if (!digits() && !whole) return false;
  } else if (!whole) {
    return false;
  }
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    i++;
    if (i < text.size() && (text[i] == '-' || text[i] == '+')) i++;
    if (!digits()) return false;
  }
  return i == text.size();
}

bool parse_float(std::string_view plain, json::Value& out) {
  if (!looks_like_float(plain)) return false;
  if (plain[0] == '+') plain.remove_prefix(1);
  double value = 0;
  auto parsed = std::from_chars(plain.data(), plain.data() + plain.size(), value);
  if (parsed.ec != std::errc()) return false;
  // A float without a fraction is written without one.
  if (value == std::floor(value) && std::fabs(value) < 9e15) {
    out = json::Value(static_cast<int64_t>(value));
  } else {
    out = json::Value(value);
  }
  return true;
}

json::Value resolve_plain(const std::string& text) {
  if (one_of(text, {"", "~", "null", "Null", "NULL"})) return {};
  if (one_of(text, {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})) {
    return true;
  }
  if (one_of(text, {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})) {
    return false;
  }
  char first = text[0];
  if (first != '-' && first != '+' && first != '.' && (first < '0' || first > '9')) return text;
  std::string plain = text;
  plain.erase(std::remove(plain.begin(), plain.end(), '_'), plain.end());
  json::Value number;
  if (parse_integer(plain, number) || parse_float(plain, number)) return number;
  return text;
}

}  // namespace

json::Value yaml_scalar(const std::string& tag, const std::string& text) {
  if (tag == "?" || tag.empty()) return resolve_plain(text);
  if (tag == "tag:yaml.org,2002:int" || tag == "tag:yaml.org,2002:float" ||
      tag == "tag:yaml.org,2002:bool" || tag == "tag:yaml.org,2002:null") {
    return resolve_plain(text);
  }
  return text;
}

namespace {

// "2026-01-31", alone or with a time of day.
bool is_date(std::string_view text) {
  bool digit = !text.empty() && text[0] >= '0' && text[0] <= '9';
  return digit && text.size() >= 8 && text.find('-') == 4 &&
         text.find_first_not_of("0123456789-:.TtZz+ ") == std::string_view::npos;
}

// "1:30", "190:20:30.15": digits, then parts up to 59.
bool is_base60(std::string_view text) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0 || text[0] < '0' || text[0] > '9') return false;
  auto digits = [](std::string_view part) {
    return part.find_first_not_of("0123456789_") == std::string_view::npos;
  };
  if (!digits(text.substr(0, colon))) return false;
  std::string_view rest = text.substr(colon + 1);
  if (size_t point = rest.find('.'); point != std::string_view::npos) {
    if (!digits(rest.substr(point + 1))) return false;
    rest = rest.substr(0, point);
  }
  while (true) {
    size_t end = rest.find(':');
    std::string_view part = rest.substr(0, end);
    bool good = (part.size() == 1 || (part.size() == 2 && part[0] < '6')) && digits(part) &&
                part.find('_') == std::string_view::npos;
    if (!good) return false;
    if (end == std::string_view::npos) return true;
    rest.remove_prefix(end + 1);
  }
}

}  // namespace

bool yaml_reads_otherwise(std::string_view text) {
  return text.empty() || text == "<<" || !resolve_plain(std::string(text)).is_string() ||
         is_date(text) || is_base60(text);
}

bool yaml_needs_quotes(std::string_view text) {
  if (yaml_reads_otherwise(text)) return true;
  if (text == "=" || text == "---" || text == "...") return true;
  if (text.front() == ' ' || text.back() == ' ' || text.back() == ':') return true;
  if (std::string_view("-?:,[]{}#&*!|>'\"%@`").find(text.front()) != std::string_view::npos) {
    bool indicator = text.front() == '-' || text.front() == '?' || text.front() == ':';
    if (!indicator || text.size() == 1 || text[1] == ' ') return true;
  }
  for (size_t i = 0; i < text.size(); i++) {
    auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x20 || c == 0x7f) return true;
    if (c == ':' && i + 1 < text.size() && text[i + 1] == ' ') return true;
    if (c == '#' && i > 0 && text[i - 1] == ' ') return true;
  }
  return false;
}

}  // namespace knarr::api
