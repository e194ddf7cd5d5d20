#include "runtime/image/user_namespace.h"

#include <fcntl.h>
#include <unistd.h>

#include <climits>
#include <cstdio>

#include "base/unique_fd.h"

namespace knarr::runtime {

// The first one maps every id to itself.
bool in_user_namespace() {
  char text[64] = {};
  base::UniqueFd fd(open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC));
  ssize_t n = fd.valid() ? read(fd.get(), text, sizeof text - 1) : -1;
  unsigned inside = 1, outside = 1, count = 0;
  bool read_all = n > 0 && sscanf(text, "%u %u %u", &inside, &outside, &count) == 3;
  return !(read_all && inside == 0 && outside == 0 && count == UINT_MAX);
}

}  // namespace knarr::runtime
