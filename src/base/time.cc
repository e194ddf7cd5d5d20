#include "base/time.h"

#include <time.h>

#include <chrono>

#include "base/format.h"

namespace knarr::base {

namespace {

constexpr int64_t kMicros = 1000000;

int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

std::string date_and_time(int64_t seconds) {
  time_t t = seconds;
  tm parts;
  gmtime_r(&t, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

// Takes `width` digits off the front; -1 when there are fewer.
int take_number(std::string_view& text, size_t width) {
  if (text.size() < width) return -1;
  int value = 0;
  for (size_t i = 0; i < width; i++) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(width);
  return value;
}

bool take(std::string_view& text, char c) {
  if (text.empty() || text[0] != c) return false;
  text.remove_prefix(1);
  return true;
}

// ".5" and on: microseconds; -1 when no digit follows the point.
int64_t take_fraction(std::string_view& text) {
  if (!take(text, '.')) return 0;
  int64_t micros = 0;
  size_t digits = 0;
  for (; digits < text.size() && text[digits] >= '0' && text[digits] <= '9'; digits++) {
    if (digits < 6) micros = micros * 10 + (text[digits] - '0');
  }
  text.remove_prefix(digits);
  for (size_t i = digits; i < 6; i++) micros *= 10;
  return digits == 0 ? -1 : micros;
}

// "Z" or "+02:00" to the end: seconds east of UTC.
bool take_zone(std::string_view& text, int64_t& offset) {
  offset = 0;
  if (take(text, 'Z')) return text.empty();
  int sign = take(text, '+') ? 1 : take(text, '-') ? -1 : 0;
  int hours = take_number(text, 2);
  if (sign == 0 || hours < 0 || hours > 23 || !take(text, ':')) return false;
  int minutes = take_number(text, 2);
  if (minutes < 0 || minutes > 59) return false;
  offset = sign * (hours * 3600 + minutes * 60);
  return text.empty();
}

}  // namespace

std::string format_time(int64_t us) { return date_and_time(floor_div(us, kMicros)) + "Z"; }

std::string format_micro_time(int64_t us) {
  int64_t seconds = floor_div(us, kMicros);
  return fmt::format("{}.{:06}Z", date_and_time(seconds), us - seconds * kMicros);
}

std::string format_nano_time(int64_t ns) {
  int64_t seconds = floor_div(ns, 1000 * kMicros);
  return fmt::format("{}.{:09}Z", date_and_time(seconds), ns - seconds * 1000 * kMicros);
}

namespace {

bool read_time(std::string_view rest, int64_t& us) {
  int year = take_number(rest, 4);
  if (!take(rest, '-')) return false;
  int month = take_number(rest, 2);
  if (!take(rest, '-')) return false;
  int day = take_number(rest, 2);
  if (!take(rest, 'T') && !take(rest, 't')) return false;
  int hour = take_number(rest, 2);
  if (!take(rest, ':')) return false;
  int minute = take_number(rest, 2);
  if (!take(rest, ':')) return false;
  int second = take_number(rest, 2);
  int64_t micros = take_fraction(rest);
  int64_t offset = 0;
  bool numbers = year >= 0 && month >= 0 && day >= 0 && hour >= 0 && minute >= 0 && second >= 0;
  if (!numbers || hour > 23 || minute > 59 || second > 59 || micros < 0) return false;
  if (!take_zone(rest, offset)) return false;
  std::chrono::year_month_day date(std::chrono::year(year),
                                   std::chrono::month(static_cast<unsigned>(month)),
                                   std::chrono::day(static_cast<unsigned>(day)));
  if (!date.ok()) return false;  // the 30th of February
  int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  int64_t seconds = days * 86400 + hour * 3600 + minute * 60 + second;
  us = (seconds - offset) * kMicros + micros;
  return true;
}

}  // namespace

Result<int64_t> parse_time(std::string_view text) {
  int64_t us = 0;
  if (read_time(text, us)) return us;
  return make_error(Code::kBadRequest, fmt::format("\"{}\" is not an RFC 3339 time", text));
}

}  // namespace knarr::base
