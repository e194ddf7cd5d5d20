// Base64 (RFC 4648, section 4, padded), as bytes stand in JSON.
#pragma once

#include <string>
#include <string_view>

namespace knarr::api {

std::string base64(std::string_view bytes);
std::string unbase64(std::string_view text);  // what is not of the alphabet is skipped

}  // namespace knarr::api
