// ComponentStatus objects, as the deprecated API has them: the parts of the control plane are one
// process, so whoever can ask finds them healthy. Pure.
#pragma once

#include <vector>

#include "knarr/object.h"

namespace knarr::server {

std::vector<ObjectRef> component_statuses();

}  // namespace knarr::server
