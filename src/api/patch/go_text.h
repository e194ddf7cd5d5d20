// Values as Go prints them with %v: map[data:map[k:2]], [a b], <nil>. Error messages hold them.
#pragma once

#include <string>

#include "base/json.h"

namespace knarr::api {

std::string go_text(const json::Value& value);

}  // namespace knarr::api
