// A file that somebody appends to, as text to a terminal. Blocking: commands only.
#pragma once

#include <string>

#include "knarr/result.h"

namespace knarr::cli {

// All of it; with `follow` then what is appended, until the file is removed or nobody reads `out`.
Result<void> write_log(const std::string& path, bool follow, int out);

}  // namespace knarr::cli
