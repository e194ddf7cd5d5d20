#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace knarr::kubectl {

// Standard base64, line breaks and padding ignored; nothing when it is malformed.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace knarr::kubectl
