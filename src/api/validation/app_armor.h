// The annotations that named AppArmor profiles before pods had fields for them.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace knarr::api {

inline constexpr std::string_view kUseAppArmorField =
    "deprecated since v1.30; use the \"appArmorProfile\" field instead";

std::string app_armor_annotation(std::string_view container);
// What the field says in the annotation's stead; null when the annotation says nothing.
json::Value app_armor_profile(std::string_view annotation);

}  // namespace knarr::api
