#ifndef __clang__
// g++ 12.2 with sanitizers warns falsely about std::regex.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
