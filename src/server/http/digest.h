// Content hashes of documents: ETags and the hashes of OpenAPI. Pure.
#pragma once

#include <string>
#include <string_view>

namespace knarr::server {

std::string sha512_hex(std::string_view bytes);  // in capitals

}  // namespace knarr::server
