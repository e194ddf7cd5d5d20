// fmt's small header. Debian ships fmt as a shared library or as headers only: fmt.cc compiles its
// body once for all of knarr.
#pragma once

#include <fmt/core.h>
