// Chance, injected: a seeded generator in tests and simulation, the kernel's in production.
#pragma once

#include <cstdint>
#include <string>

namespace knarr {

class Random {
 public:
  virtual ~Random() = default;
  virtual uint64_t next() = 0;

  // A number in [0, bound); bound > 0.
  uint64_t below(uint64_t bound) { return next() % bound; }
  // A version 4 UUID in its usual text form.
  std::string uuid();
  // n characters of the alphabet Kubernetes uses for generated names: no vowels, nothing alike.
  std::string suffix(int n);
};

}  // namespace knarr
