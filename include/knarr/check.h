// CHECK: a programmer's error ends the process, in release builds too. Never for input from
// outside.
#pragma once

namespace knarr {

[[noreturn]] void check_failed(const char* condition, const char* file, int line);

}  // namespace knarr

// Tests have Catch2's CHECK, so headers do not use this one.
#ifndef CHECK
#define CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::knarr::check_failed(#condition, __FILE__, __LINE__))
#endif
