// An exception that nobody catches ends the process, as any broken promise does. The C++ library's
// own way of saying so decodes the names of types, which takes 50 kB; the static executable has
// this one.
#include <unistd.h>

#include <cstdlib>

namespace __gnu_cxx {
[[noreturn]] void __verbose_terminate_handler();
}

void __gnu_cxx::__verbose_terminate_handler() {
  constexpr char kText[] = "knarr: an exception was not caught\n";
  (void)!write(STDERR_FILENO, kText, sizeof kText - 1);
  std::abort();
}
