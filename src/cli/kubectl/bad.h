// The error of a command that asks for what makes no sense.
#pragma once

#include <string>
#include <utility>

#include "knarr/result.h"

namespace knarr::kubectl {

inline Error bad(std::string message) { return make_error(Code::kBadRequest, std::move(message)); }

}  // namespace knarr::kubectl
