// Quantities ("500m", "1.5Gi", "1e3") as resource.Quantity has them: an exact decimal number and
// the way it likes to be written. A value keeps at least nine decimals and reaches beyond 2^63.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "knarr/result.h"

namespace knarr::api {

class Quantity {
 public:
  enum class Format : uint8_t { kDecimalSi, kBinarySi, kDecimalExponent };

  Quantity() = default;
  explicit Quantity(int64_t value, Format format = Format::kDecimalSi)
      : unscaled_(value), format_(format) {}
  static Quantity milli(int64_t value, Format format = Format::kDecimalSi);

  // Errors carry upstream's words, code kBadRequest.
  static Result<Quantity> parse(std::string_view text);

  // Canonical text: the largest suffix that needs no fraction.
  std::string text() const;

  // Rounded away from zero; saturating.
  int64_t value() const { return scaled_value(0); }
  int64_t milli_value() const { return scaled_value(-3); }
  int64_t scaled_value(int scale) const;
  double as_double() const;

  int sign() const { return unscaled_ < 0 ? -1 : unscaled_ > 0 ? 1 : 0; }
  bool is_zero() const { return unscaled_ == 0; }
  bool is_integer() const;  // a whole number
  Format format() const { return format_; }

  // -1, 0, 1; the format does not matter.
  int compare(const Quantity& other) const;
  bool operator==(const Quantity& other) const { return compare(other) == 0; }
  bool operator<(const Quantity& other) const { return compare(other) < 0; }

  // A zero takes the other's format, as upstream.
  void add(const Quantity& other);
  void subtract(const Quantity& other);
  void negate() { unscaled_ = -unscaled_; }

 private:
  __extension__ using Int128 = __int128;

  Quantity(Int128 unscaled, int scale, Format format)
      : unscaled_(unscaled), scale_(scale), format_(format) {}

  Int128 unscaled_ = 0;  // the number is unscaled * 10^scale
  int scale_ = 0;
  Format format_ = Format::kDecimalSi;
};

// The canonical text of a quantity as a client wrote it.
Result<std::string> canonical_quantity(std::string_view text);

// Of a value in a stored object; zero when it is absent or malformed.
Quantity quantity_or_zero(std::string_view text);

}  // namespace knarr::api
