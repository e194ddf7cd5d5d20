// A folder's content, copied as it is: owners, modes, times, symbolic links, device nodes, extended
// attributes. Names of one file become files of their own. Blocks.
#pragma once

#include "knarr/result.h"

namespace knarr::runtime {

// Both are open folders; what stands in `to` and not in `from` stays. The attributes of the folders
// themselves are copied too.
Result<void> copy_contents(int from, int to);

}  // namespace knarr::runtime
