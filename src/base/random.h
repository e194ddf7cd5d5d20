// The two generators: the kernel's for production, a seeded one for tests and simulation.
#pragma once

#include <cstdint>

#include "knarr/random.h"

namespace knarr::base {

class SystemRandom final : public Random {
 public:
  uint64_t next() override;
};

class SeededRandom final : public Random {  // splitmix64
 public:
  explicit SeededRandom(uint64_t seed) : state_(seed) {}
  uint64_t next() override;

 private:
  uint64_t state_;
};

}  // namespace knarr::base
