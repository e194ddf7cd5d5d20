#include "api/duration.h"

#include <limits>

#include "base/format.h"
#include "base/time.h"

namespace knarr::api {
namespace {

struct Unit {
  std::string_view text;
  int64_t ns;
};
constexpr Unit kUnits[] = {
    {"ns", 1},
    {"us", 1'000},
    {"\u00b5s", 1'000},
    {"\u03bcs", 1'000},
    {"ms", 1'000'000},
    {"s", 1'000'000'000},
    {"m", 60 * 1'000'000'000L},
    {"h", 3600 * 1'000'000'000L},
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

Error invalid(std::string_view text) {
  return make_error(Code::kBadRequest, fmt::format("time: invalid duration \"{}\"", text));
}

// One "<number><unit>" of a duration, taken off the front of `rest`.
Result<int64_t> take_part(std::string_view& rest, std::string_view whole) {
  __extension__ using Int128 = __int128;
  constexpr Int128 kMax = std::numeric_limits<int64_t>::max();
  size_t at = 0;
  Int128 integer = 0;
  for (; at < rest.size() && is_digit(rest[at]); at++) {
    integer = integer * 10 + (rest[at] - '0');
    if (integer > kMax) return invalid(whole);
  }
  size_t digits = at;
  Int128 fraction = 0;
  Int128 scale = 1;
  if (at < rest.size() && rest[at] == '.') {
    for (at++; at < rest.size() && is_digit(rest[at]); at++) {
      digits++;
      if (scale >= 1'000'000'000'000'000'000) continue;
      fraction = fraction * 10 + (rest[at] - '0');
      scale *= 10;
    }
  }
  if (digits == 0) return invalid(whole);
  size_t begin = at;
  while (at < rest.size() && rest[at] != '.' && !is_digit(rest[at])) at++;
  std::string_view name = rest.substr(begin, at - begin);
  if (name.empty()) {
    return make_error(Code::kBadRequest,
                      fmt::format("time: missing unit in duration \"{}\"", whole));
  }
  rest.remove_prefix(at);
  for (const Unit& unit : kUnits) {
    if (unit.text != name) continue;
    Int128 ns = integer * unit.ns + fraction * unit.ns / scale;
    if (ns > kMax) return invalid(whole);
    return static_cast<int64_t>(ns);
  }
  return make_error(Code::kBadRequest,
                    fmt::format("time: unknown unit \"{}\" in duration \"{}\"", name, whole));
}

}  // namespace

Result<int64_t> parse_duration(std::string_view text) {
  std::string_view rest = text;
  bool negative = false;
  if (!rest.empty() && (rest[0] == '-' || rest[0] == '+')) {
    negative = rest[0] == '-';
    rest.remove_prefix(1);
  }
  if (rest == "0") return int64_t{0};
  if (rest.empty()) return invalid(text);
  int64_t sum = 0;
  while (!rest.empty()) {
    TRY_ASSIGN(int64_t part, take_part(rest, text));
    if (__builtin_add_overflow(sum, part, &sum)) return invalid(text);
  }
  return negative ? -sum : sum;
}

std::string format_duration(int64_t ns) {
  if (ns == 0) return "0s";
  bool negative = ns < 0;
  uint64_t rest = negative ? 0 - static_cast<uint64_t>(ns) : static_cast<uint64_t>(ns);
  // A whole part and a fraction without its trailing zeros.
  auto decimal = [](uint64_t value, uint64_t unit, int digits) {
    std::string out = std::to_string(value / unit);
    std::string fraction = fmt::format("{:0{}}", value % unit, digits);
    while (!fraction.empty() && fraction.back() == '0') fraction.pop_back();
    return fraction.empty() ? out : out + "." + fraction;
  };
  std::string out;
  if (rest < 1'000) {
    out = std::to_string(rest) + "ns";
  } else if (rest < 1'000'000) {
    out = decimal(rest, 1'000, 3) + "\u00b5s";
  } else if (rest < 1'000'000'000) {
    out = decimal(rest, 1'000'000, 6) + "ms";
  } else {
    uint64_t minutes = rest / 60'000'000'000;
    out = decimal(rest % 60'000'000'000, 1'000'000'000, 9) + "s";
    if (minutes > 0) out = fmt::format("{}m{}", minutes % 60, out);
    if (minutes >= 60) out = fmt::format("{}h{}", minutes / 60, out);
  }
  return negative ? "-" + out : out;
}

std::string human_duration(int64_t us) {
  if (us <= -2'000'000) return "<invalid>";
  if (us < 0) return "0s";
  int64_t seconds = us / 1'000'000;
  int64_t minutes = seconds / 60;
  int64_t hours = seconds / 3600;
  auto two = [](int64_t a, const char* unit_a, int64_t b, const char* unit_b) {
    return b == 0 ? fmt::format("{}{}", a, unit_a) : fmt::format("{}{}{}{}", a, unit_a, b, unit_b);
  };
  if (seconds < 120) return fmt::format("{}s", seconds);
  if (minutes < 10) return two(minutes, "m", seconds % 60, "s");
  if (minutes < 180) return fmt::format("{}m", minutes);
  if (hours < 8) return two(hours, "h", minutes % 60, "m");
  if (hours < 48) return fmt::format("{}h", hours);
  if (hours < 24 * 8) return two(hours / 24, "d", hours % 24, "h");
  if (hours < 24 * 365 * 2) return fmt::format("{}d", hours / 24);
  if (hours < 24 * 365 * 8) return two(hours / 24 / 365, "y", hours / 24 % 365, "d");
  return fmt::format("{}y", hours / 24 / 365);
}

std::string age(std::string_view created, int64_t now_us) {
  if (created.empty()) return "<unknown>";
  auto moment = base::parse_time(created);
  return moment.ok() ? human_duration(now_us - *moment) : "<invalid>";
}

}  // namespace knarr::api
