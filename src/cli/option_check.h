// Whether the values of flags make sense, before anything is started or written. The errors name
// the flag, for who has typed it.
#pragma once

#include "cli/server_options.h"

namespace knarr::cli {

// Of options that are filled in.
Result<void> check_options(const ServerOptions& options);
// What concerns the node alone.
Result<void> check_node(const NodeOptions& options);
// That a node which joins may give itself its labels.
Result<void> check_own_labels(const NodeOptions& options);

}  // namespace knarr::cli
