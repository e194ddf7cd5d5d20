#include "base/random.h"

#include <sys/random.h>

#include "base/format.h"
#include "knarr/check.h"

namespace knarr {

std::string Random::uuid() {
  uint64_t high = (next() & ~0xf000ULL) | 0x4000ULL;
  uint64_t low = (next() & ~(3ULL << 62)) | (2ULL << 62);
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", high >> 32, (high >> 16) & 0xffff,
                     high & 0xffff, low >> 48, low & 0xffffffffffffULL);
}

std::string Random::suffix(int n) {
  static constexpr char kAlphabet[] = "bcdfghjklmnpqrstvwxz2456789";
  std::string out;
  for (int i = 0; i < n; i++) out += kAlphabet[below(sizeof kAlphabet - 1)];
  return out;
}

namespace base {

uint64_t SystemRandom::next() {
  uint64_t value;
  CHECK(getrandom(&value, sizeof value, 0) == sizeof value);
  return value;
}

uint64_t SeededRandom::next() {
  uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

}  // namespace base
}  // namespace knarr
