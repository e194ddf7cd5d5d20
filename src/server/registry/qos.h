// The quality of service class of a pod, from its containers' requests and limits.
#pragma once

#include <string_view>

#include "base/json.h"

namespace knarr::server {

std::string_view qos_class(const json::Value& pod_spec);

}  // namespace knarr::server
