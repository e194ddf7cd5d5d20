// One line about a type or a field, for `kubectl explain`: the catalogue's own line when it has
// one, else what name, type, values and default say. Pure.
#pragma once

#include <string>
#include <string_view>

#include "api/schema/schema.h"

namespace knarr::api {

std::string describe_type(const Type& type);
std::string describe_field(const Type& owner, const Field& field);

// "terminationGracePeriodSeconds" -> "termination grace period seconds"; acronyms stay: "pod IPs".
std::string words_of(std::string_view name);

}  // namespace knarr::api
