#include "api/view/time.h"

#include "base/format.h"

namespace knarr::api {

namespace {

// Days since 1970-01-01 in the proleptic Gregorian calendar, and back: years are counted from March,
// so that the leap day is the last of its year.
int64_t days_of(int64_t y, int64_t m, int64_t d) {
  y -= m <= 2;
  int64_t era = (y >= 0 ? y : y - 399) / 400;
  int64_t year_of_era = y - era * 400;
  int64_t day_of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
  int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + day_of_era - 719468;
}

struct Date {
  int64_t year, month, day;
};

Date date_of(int64_t days) {
  days += 719468;
  int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  int64_t doe = days - era * 146097;
  int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  int64_t mp = (5 * doy + 2) / 153;
  int64_t month = mp < 10 ? mp + 3 : mp - 9;
  return {yoe + era * 400 + (month <= 2), month, doy - (153 * mp + 2) / 5 + 1};
}

// Reads exactly n digits at `at`; -1 when they are not there.
int64_t digits(std::string_view s, size_t at, size_t n) {
  if (at + n > s.size()) return -1;
  int64_t value = 0;
  for (size_t i = at; i < at + n; ++i) {
    if (s[i] < '0' || s[i] > '9') return -1;
    value = value * 10 + (s[i] - '0');
  }
  return value;
}

std::string seconds_text(int64_t seconds) {
  int64_t days = seconds / 86400;
  int64_t rest = seconds % 86400;
  if (rest < 0) {
    rest += 86400;
    --days;
  }
  Date date = date_of(days);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", date.year, date.month, date.day,
                     rest / 3600, rest / 60 % 60, rest % 60);
}

}  // namespace

std::optional<int64_t> parse_time(std::string_view s) {
  int64_t year = digits(s, 0, 4), month = digits(s, 5, 2), day = digits(s, 8, 2);
  int64_t hour = digits(s, 11, 2), minute = digits(s, 14, 2), second = digits(s, 17, 2);
  if (year < 0 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23 ||
      minute < 0 || minute > 59 || second < 0 || second > 60 || s[4] != '-' || s[7] != '-' ||
      s[10] != 'T' || s[13] != ':' || s[16] != ':') {
    return std::nullopt;
  }
  size_t at = 19;
  int64_t micros = 0;
  if (at < s.size() && s[at] == '.') {
    int64_t unit = 100000;
    for (++at; at < s.size() && s[at] >= '0' && s[at] <= '9'; ++at, unit /= 10) {
      micros += (s[at] - '0') * unit;
    }
  }
  int64_t offset = 0;
  if (at < s.size() && s[at] == 'Z') {
    ++at;
  } else {
    int64_t oh = digits(s, at + 1, 2), om = digits(s, at + 4, 2);
    if (oh < 0 || om < 0 || (s[at] != '+' && s[at] != '-') || s[at + 3] != ':') return std::nullopt;
    offset = (oh * 3600 + om * 60) * (s[at] == '-' ? -1 : 1);
    at += 6;
  }
  if (at != s.size()) return std::nullopt;
  int64_t seconds = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
  return seconds * 1000000 + micros;
}

std::string format_time(int64_t time_us) {
  int64_t seconds = time_us / 1000000 - (time_us % 1000000 < 0 ? 1 : 0);
  return seconds_text(seconds) + "Z";
}

std::string format_micro_time(int64_t time_us) {
  int64_t seconds = time_us / 1000000 - (time_us % 1000000 < 0 ? 1 : 0);
  return fmt::format("{}.{:06}Z", seconds_text(seconds), time_us - seconds * 1000000);
}

}  // namespace knarr::api
