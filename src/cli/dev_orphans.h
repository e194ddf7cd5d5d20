// What is left of an ordinary user's clusters when the process that kept their namespaces has been
// killed: nodes and containers go on, in user namespaces that nobody may enter to tidy up, cut off
// from the machine's network. Blocking: commands only.
#pragma once

#include "cli/dev_cluster.h"

namespace knarr::cli {

// Ends all processes of such namespaces, of whichever cluster, and with them their mounts and
// links, and removes their run folders. How many there were. Called from outside of the
// namespaces, whose owner may kill whom he likes in them (user_namespaces(7)).
Result<int> end_dev_orphans(const DevPlace& place);

}  // namespace knarr::cli
