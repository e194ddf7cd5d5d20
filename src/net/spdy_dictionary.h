// The dictionary of SPDY/3's header compression.
#pragma once

#include <string>

namespace knarr::net {

const std::string& spdy_dictionary();

}  // namespace knarr::net
