#include "api/quantity.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace knarr::api {
namespace {

__extension__ using Int128 = __int128;

constexpr Int128 kMaxInt64 = std::numeric_limits<int64_t>::max();
constexpr int kNano = -9;

bool multiply(Int128 a, Int128 b, Int128& out) { return !__builtin_mul_overflow(a, b, &out); }

// value * 10^n; false on overflow.
bool scale_up(Int128 value, int n, Int128& out) {
  out = value;
  if (value == 0) return true;
  for (; n > 0; n--) {
    if (!multiply(out, 10, out)) return false;
  }
  return true;
}

// value / 10^n, rounded away from zero.
Int128 scale_down(Int128 value, int n, bool& exact) {
  exact = true;
  for (; n > 0 && value != 0; n--) {
    if (value % 10 != 0) exact = false;
    value /= 10;
    if (value == 0) break;
  }
  return value;
}

std::string digits_of(Int128 value) {
  if (value == 0) return "0";
  bool negative = value < 0;
  std::string out;
  for (; value != 0; value /= 10) {
    int digit = static_cast<int>(value % 10);
    out += static_cast<char>('0' + (digit < 0 ? -digit : digit));
  }
  if (negative) out += '-';
  std::reverse(out.begin(), out.end());
  return out;
}

struct Parts {
  bool negative = false;
  std::string_view integer;
  std::string_view fraction;
  std::string_view suffix;
};

Error wrong_format() {
  return make_error(Code::kBadRequest,
                    "quantities must match the regular expression "
                    "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

Result<Parts> split(std::string_view text) {
  if (text.empty()) return wrong_format();
  Parts parts;
  size_t at = 0;
  if (text[0] == '-' || text[0] == '+') {
    parts.negative = text[0] == '-';
    at = 1;
  }
  while (at < text.size() && text[at] == '0') at++;
  size_t begin = at;
  while (at < text.size() && is_digit(text[at])) at++;
  parts.integer = text.substr(begin, at - begin);
  if (at < text.size() && text[at] == '.') {
    begin = ++at;
    while (at < text.size() && is_digit(text[at])) at++;
    parts.fraction = text.substr(begin, at - begin);
  }
  parts.suffix = text.substr(at);
  while (at < text.size() &&
         std::string_view("eEinumkKMGTP").find(text[at]) != std::string_view::npos) {
    at++;
  }
  if (at < text.size() && (text[at] == '-' || text[at] == '+')) at++;
  while (at < text.size() && is_digit(text[at])) at++;
  if (at != text.size()) return wrong_format();
  return parts;
}

struct Suffix {
  Quantity::Format format = Quantity::Format::kDecimalSi;
  int base = 10;
  int exponent = 0;
};

struct Unit {
  std::string_view text;
  int base;
  int exponent;
};
constexpr Unit kUnits[] = {
    {"n", 10, -9}, {"u", 10, -6}, {"m", 10, -3}, {"", 10, 0},   {"k", 10, 3},  {"M", 10, 6},
    {"G", 10, 9},  {"T", 10, 12}, {"P", 10, 15}, {"E", 10, 18}, {"Ki", 2, 10}, {"Mi", 2, 20},
    {"Gi", 2, 30}, {"Ti", 2, 40}, {"Pi", 2, 50}, {"Ei", 2, 60},
};

Result<Suffix> parse_suffix(std::string_view text) {
  for (const Unit& unit : kUnits) {
    if (unit.text == text) {
      return Suffix{unit.base == 2 ? Quantity::Format::kBinarySi : Quantity::Format::kDecimalSi,
                    unit.base, unit.exponent};
    }
  }
  if (text.size() > 1 && (text[0] == 'e' || text[0] == 'E')) {
    size_t at = 1;
    bool negative = text[at] == '-';
    if (text[at] == '-' || text[at] == '+') at++;
    int64_t exponent = 0;
    bool good = at < text.size();
    for (; good && at < text.size(); at++) {
      good = is_digit(text[at]) && exponent < 100'000'000;
      exponent = exponent * 10 + (text[at] - '0');
    }
    if (good) {
      return Suffix{Quantity::Format::kDecimalExponent, 10,
                    static_cast<int>(negative ? -exponent : exponent)};
    }
  }
  return make_error(Code::kBadRequest, "unable to parse quantity's suffix");
}

// Decimal digits, most significant first, times 1024.
void times_1024(std::vector<int>& digits) {
  int carry = 0;
  for (size_t i = digits.size(); i-- > 0;) {
    int value = digits[i] * 1024 + carry;
    digits[i] = value % 10;
    carry = value / 10;
  }
  for (; carry > 0; carry /= 10) digits.insert(digits.begin(), carry % 10);
}

// The nanos of digits * 10^scale: rounded up, capped at 2^63-1 units.
Int128 to_nanos(const std::vector<int>& digits, int64_t scale) {
  const Int128 cap = kMaxInt64 * 1'000'000'000;
  int64_t shift = scale - kNano;
  Int128 value = 0;
  bool fraction = false;
  size_t whole = 0;  // how many digits count
  if (shift >= 0) {
    whole = digits.size();
  } else if (static_cast<int64_t>(digits.size()) > -shift) {
    whole = digits.size() - static_cast<size_t>(-shift);
  }
  for (size_t i = 0; i < digits.size(); i++) {
    if (i >= whole) {
      fraction |= digits[i] != 0;
    } else {
      value = value * 10 + digits[i];
      if (value > cap) return cap;
    }
  }
  for (; shift > 0 && value != 0; shift--) {
    value *= 10;
    if (value > cap) return cap;
  }
  return std::min<Int128>(fraction ? value + 1 : value, cap);
}

}  // namespace

Quantity Quantity::milli(int64_t value, Format format) { return Quantity(value, -3, format); }

Result<Quantity> Quantity::parse(std::string_view text) {
  TRY_ASSIGN(Parts parts, split(text));
  TRY_ASSIGN(Suffix suffix, parse_suffix(parts.suffix));
  std::vector<int> digits;
  for (char c : parts.integer) digits.push_back(c - '0');
  for (char c : parts.fraction) digits.push_back(c - '0');

  // Numbers of at most 18 digits keep their scale, however large; others are cut at nanos and 2^63.
  size_t count = std::max<size_t>(parts.integer.size(), 1) + parts.fraction.size();
  int64_t scale = -static_cast<int64_t>(parts.fraction.size());
  if (suffix.base == 10 && count <= 18 && suffix.exponent + scale >= kNano) {
    Int128 value = 0;
    for (int digit : digits) value = value * 10 + digit;
    if (value == 0) return Quantity(0, 0, suffix.format);
    return Quantity(parts.negative ? -value : value, static_cast<int>(suffix.exponent + scale),
                    suffix.format);
  }
  Format format = suffix.format;
  if (suffix.base == 10) {
    scale += suffix.exponent;
  } else {
    for (int i = 0; i < suffix.exponent; i += 10) times_1024(digits);
  }
  Int128 nanos = to_nanos(digits, scale);
  if (format == Format::kBinarySi && nanos > 0 && nanos < 1'000'000'000) {
    format = Format::kDecimalSi;
  }
  bool exact = nanos % 1'000'000'000 == 0;
  if (exact) nanos /= 1'000'000'000;
  return Quantity(parts.negative ? -nanos : nanos, exact ? 0 : kNano, format);
}

std::string Quantity::text() const {
  if (unscaled_ == 0) return "0";
  Format format = format_;
  if (format == Format::kBinarySi) {
    bool small = compare(Quantity(-1024)) > 0 && compare(Quantity(1024)) < 0;
    if (small || !is_integer()) format = Format::kDecimalSi;
  }
  if (format == Format::kBinarySi) {
    Int128 amount = unscaled_;
    bool exact = true;
    if (scale_ > 0) scale_up(unscaled_, scale_, amount);
    if (scale_ < 0) amount = scale_down(unscaled_, -scale_, exact);
    size_t power = 0;
    for (; amount % 1024 == 0 && power < 6; power++) amount /= 1024;
    static constexpr std::string_view kBinary[] = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
    return digits_of(amount) + std::string(kBinary[power]);
  }
  Int128 amount = unscaled_;
  int exponent = scale_;
  for (; amount % 10 == 0; exponent++) amount /= 10;
  for (; exponent % 3 != 0; exponent--) amount *= 10;
  if (format == Format::kDecimalExponent) {
    return digits_of(amount) + (exponent == 0 ? "" : "e" + std::to_string(exponent));
  }
  for (const Unit& unit : kUnits) {
    if (unit.base == 10 && unit.exponent == exponent) {
      return digits_of(amount) + std::string(unit.text);
    }
  }
  return digits_of(amount);  // upstream drops the suffix of what has none
}

int64_t Quantity::scaled_value(int scale) const {
  Int128 value = unscaled_;
  if (scale_ >= scale) {
    if (!scale_up(unscaled_, scale_ - scale, value)) value = sign() < 0 ? -kMaxInt64 : kMaxInt64;
  } else {
    bool exact = true;
    value = scale_down(unscaled_, scale - scale_, exact);
    if (!exact) value += sign();
  }
  return static_cast<int64_t>(std::clamp(value, -kMaxInt64 - 1, kMaxInt64));
}

double Quantity::as_double() const {
  return static_cast<double>(unscaled_) * std::pow(10.0, scale_);
}

bool Quantity::is_integer() const {
  if (scale_ >= 0) return true;
  bool exact = true;
  scale_down(unscaled_, -scale_, exact);
  return exact;
}

int Quantity::compare(const Quantity& other) const {
  if (sign() != other.sign()) return sign() < other.sign() ? -1 : 1;
  if (unscaled_ == 0) return 0;
  const Quantity& fine = scale_ <= other.scale_ ? *this : other;
  const Quantity& coarse = scale_ <= other.scale_ ? other : *this;
  Int128 aligned = 0;
  int result = 0;
  if (!scale_up(coarse.unscaled_, coarse.scale_ - fine.scale_, aligned)) {
    result = -sign();  // the coarse one is further from zero than any fine one can be
  } else {
    result = fine.unscaled_ < aligned ? -1 : fine.unscaled_ > aligned ? 1 : 0;
  }
  return &fine == this ? result : -result;
}

void Quantity::add(const Quantity& other) {
  if (unscaled_ == 0 && other.unscaled_ != 0) {
    *this = other;
    return;
  }
  int scale = std::min(scale_, other.scale_);
  Int128 a = 0;
  Int128 b = 0;
  Int128 sum = 0;
  if (!scale_up(unscaled_, scale_ - scale, a) ||
      !scale_up(other.unscaled_, other.scale_ - scale, b) || __builtin_add_overflow(a, b, &sum)) {
    bool negative = std::abs(scale_) > std::abs(other.scale_) ? sign() < 0 : other.sign() < 0;
    sum = negative ? -kMaxInt64 : kMaxInt64;
    scale = 0;
  }
  unscaled_ = sum;
  scale_ = sum == 0 ? 0 : scale;
}

void Quantity::subtract(const Quantity& other) {
  Quantity minus = other;
  minus.negate();
  add(minus);
}

Result<std::string> canonical_quantity(std::string_view text) {
  TRY_ASSIGN(Quantity quantity, Quantity::parse(text));
  return quantity.text();
}

Quantity quantity_or_zero(std::string_view text) {
  auto quantity = Quantity::parse(text);
  return quantity.ok() ? *quantity : Quantity();
}

}  // namespace knarr::api
