#include "api/cron.h"

#include <algorithm>
#include <vector>

#include "api/duration.h"
#include "base/format.h"

namespace knarr::api {
namespace {

struct Bounds {
  unsigned min;
  unsigned max;
  std::vector<std::string_view> names;  // of min, min + 1, ...
};

const Bounds& minutes() {
  static const Bounds bounds{0, 59, {}};
  return bounds;
}
const Bounds& hours() {
  static const Bounds bounds{0, 23, {}};
  return bounds;
}
const Bounds& days() {
  static const Bounds bounds{1, 31, {}};
  return bounds;
}
const Bounds& months() {
  static const Bounds bounds{
      1, 12, {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}};
  return bounds;
}
const Bounds& weekdays() {
  static const Bounds bounds{0, 6, {"sun", "mon", "tue", "wed", "thu", "fri", "sat"}};
  return bounds;
}

Error bad(std::string message) { return make_error(Code::kBadRequest, std::move(message)); }

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> out;
  for (;;) {
    size_t at = text.find(separator);
    out.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return out;
    text.remove_prefix(at + 1);
  }
}

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> out;
  size_t at = 0;
  auto space = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  while (at < text.size()) {
    while (at < text.size() && space(text[at])) at++;
    size_t begin = at;
    while (at < text.size() && !space(text[at])) at++;
    if (at > begin) out.push_back(text.substr(begin, at - begin));
  }
  return out;
}

Result<unsigned> parse_number(std::string_view text) {
  size_t at = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  bool good = at < text.size();
  int64_t value = 0;
  for (size_t i = at; i < text.size() && good; i++) {
    good = text[i] >= '0' && text[i] <= '9' && value < 1'000'000'000;
    value = value * 10 + (text[i] - '0');
  }
  if (!good) {
    return bad(fmt::format(
        "failed to parse int from {}: strconv.Atoi: parsing \"{}\": invalid syntax", text, text));
  }
  if (text[0] == '-' && value != 0) {
    return bad(fmt::format("negative number (-{}) not allowed: {}", value, text));
  }
  return static_cast<unsigned>(value);
}

Result<unsigned> parse_value(std::string_view text, const Bounds& bounds) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  for (size_t i = 0; i < bounds.names.size(); i++) {
    if (bounds.names[i] == lower) return bounds.min + static_cast<unsigned>(i);
  }
  return parse_number(text);
}

constexpr uint64_t kStar = 1ULL << 63;

// "*", "5", "1-5", "*/15", "1-30/2", "MON-FRI" as a bit set.
Result<uint64_t> parse_range(std::string_view text, const Bounds& bounds) {
  auto range_and_step = split(text, '/');
  auto low_and_high = split(range_and_step[0], '-');
  bool single = low_and_high.size() == 1;
  unsigned begin = bounds.min;
  unsigned end = bounds.max;
  uint64_t extra = 0;
  if (low_and_high[0] == "*" || low_and_high[0] == "?") {
    extra = kStar;
  } else {
    TRY_ASSIGN(begin, parse_value(low_and_high[0], bounds));
    end = begin;
    if (low_and_high.size() == 2) {
      TRY_ASSIGN(end, parse_value(low_and_high[1], bounds));
    } else if (low_and_high.size() > 2) {
      return bad(fmt::format("too many hyphens: {}", text));
    }
  }
  unsigned step = 1;
  if (range_and_step.size() == 2) {
    TRY_ASSIGN(step, parse_number(range_and_step[1]));
    if (single) end = bounds.max;
    if (step > 1) extra = 0;
  } else if (range_and_step.size() > 2) {
    return bad(fmt::format("too many slashes: {}", text));
  }
  if (begin < bounds.min) {
    return bad(
        fmt::format("beginning of range ({}) below minimum ({}): {}", begin, bounds.min, text));
  }
  if (end > bounds.max) {
    return bad(fmt::format("end of range ({}) above maximum ({}): {}", end, bounds.max, text));
  }
  if (begin > end) {
    return bad(
        fmt::format("beginning of range ({}) beyond end of range ({}): {}", begin, end, text));
  }
  if (step == 0) return bad(fmt::format("step of range should be a positive number: {}", text));
  uint64_t bits = extra;
  for (unsigned i = begin; i <= end; i += step) bits |= 1ULL << i;
  return bits;
}

Result<uint64_t> parse_field(std::string_view text, const Bounds& bounds) {
  uint64_t bits = 0;
  for (std::string_view part : split(text, ',')) {
    if (part.empty()) continue;
    TRY_ASSIGN(uint64_t more, parse_range(part, bounds));
    bits |= more;
  }
  return bits;
}

// Days since the epoch of a civil date, and back (proleptic Gregorian).
int64_t days_from_civil(int64_t y, int m, int d) {
  y -= m <= 2 ? 1 : 0;
  int64_t era = (y >= 0 ? y : y - 399) / 400;
  int64_t yoe = y - era * 400;
  int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
  int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
  return era * 146097 + doe - 719468;
}

struct Civil {
  int64_t year;
  int month;
  int day;
};

Civil civil_from_days(int64_t z) {
  z += 719468;
  int64_t era = (z >= 0 ? z : z - 146096) / 146097;
  int64_t doe = z - era * 146097;
  int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  int64_t mp = (5 * doy + 2) / 153;
  int month = static_cast<int>(mp < 10 ? mp + 3 : mp - 9);
  return {yoe + era * 400 + (month <= 2 ? 1 : 0), month,
          static_cast<int>(doy - (153 * mp + 2) / 5 + 1)};
}

int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

std::string_view expand_macro(std::string_view text) {
  static constexpr std::pair<std::string_view, std::string_view> kMacros[] = {
      {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"},
      {"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"},    {"@midnight", "0 0 * * *"},
      {"@hourly", "0 * * * *"},
  };
  for (const auto& [name, fields] : kMacros) {
    if (name == text) return fields;
  }
  return {};
}

}  // namespace

Result<CronSchedule> CronSchedule::parse(std::string_view text) {
  if (text.empty()) return bad("empty spec string");
  CronSchedule schedule;
  if (text.substr(0, 3) == "TZ=" || text.substr(0, 8) == "CRON_TZ=") {
    size_t space = text.find(' ');
    size_t equals = text.find('=');
    std::string_view zone = text.substr(
        equals + 1, space == std::string_view::npos ? std::string_view::npos : space - equals - 1);
    if (space == std::string_view::npos) return bad(fmt::format("provided bad location {}", zone));
    schedule.zone_name_ = zone;
    text = text.substr(space);
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  }
  if (!text.empty() && text[0] == '@') {
    static constexpr std::string_view kEvery = "@every ";
    if (text.substr(0, kEvery.size()) == kEvery) {
      auto span = parse_duration(text.substr(kEvery.size()));
      if (!span.ok()) {
        return bad(fmt::format("failed to parse duration {}: {}", text, span.error().message));
      }
      schedule.every_seconds_ = std::max<int64_t>(*span / 1'000'000'000, 1);
      return schedule;
    }
    std::string_view fields = expand_macro(text);
    if (fields.empty()) return bad(fmt::format("unrecognized descriptor: {}", text));
    text = fields;
  }
  auto fields = words(text);
  if (fields.size() != 5) {
    return bad(fmt::format("expected exactly 5 fields, found {}: [{}]", fields.size(), [&fields] {
      std::string out;
      for (std::string_view field : fields) {
        out += out.empty() ? "" : " ";
        out += field;
      }
      return out;
    }()));
  }
  TRY_ASSIGN(schedule.minute_, parse_field(fields[0], minutes()));
  TRY_ASSIGN(schedule.hour_, parse_field(fields[1], hours()));
  TRY_ASSIGN(schedule.day_, parse_field(fields[2], days()));
  TRY_ASSIGN(schedule.month_, parse_field(fields[3], months()));
  TRY_ASSIGN(schedule.weekday_, parse_field(fields[4], weekdays()));
  schedule.day_star_ = (schedule.day_ & kStar) != 0;
  schedule.weekday_star_ = (schedule.weekday_ & kStar) != 0;
  return schedule;
}

// A restricted day of the month and a restricted weekday each are enough; a star defers to the
// other.
bool CronSchedule::day_matches(int day, int month, int weekday) const {
  if ((month_ >> month & 1) == 0) return false;
  bool by_day = (day_ >> day & 1) != 0;
  bool by_weekday = (weekday_ >> weekday & 1) != 0;
  return day_star_ || weekday_star_ ? by_day && by_weekday : by_day || by_weekday;
}

std::optional<int64_t> CronSchedule::next(int64_t unix_seconds, const ZoneOffset& zone) const {
  if (every_seconds_ > 0) return unix_seconds + every_seconds_;
  auto offset = [&zone](int64_t at) { return zone ? zone(at) : 0; };
  int64_t first = (floor_div(unix_seconds, 60) + 1) * 60;
  int64_t local_day = floor_div(first + offset(first), 86400);
  Civil start = civil_from_days(local_day);
  int64_t last_day = days_from_civil(start.year + 6, 1, 1);
  for (int64_t day = local_day; day < last_day; day++) {
    Civil civil = civil_from_days(day);
    int weekday = static_cast<int>(((day + 4) % 7 + 7) % 7);
    if (!day_matches(civil.day, civil.month, weekday)) continue;
    // Walk the day's moments in real time, so that a skipped hour is skipped and a repeated one
    // repeats.
    int64_t midnight = day * 86400;
    int64_t begin = std::max(first, midnight - offset(midnight) - 7200);
    int64_t end = midnight + 86400 - offset(midnight + 86400) + 7200;
    for (int64_t at = begin; at < end; at += 60) {
      int64_t local = at + offset(at);
      if (floor_div(local, 86400) != day) continue;
      int64_t second = local - midnight;
      bool named = (hour_ >> (second / 3600) & 1) != 0 && (minute_ >> (second / 60 % 60) & 1) != 0;
      if (named) return at;
    }
  }
  return std::nullopt;
}

}  // namespace knarr::api
