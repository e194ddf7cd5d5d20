// Blocks of PEM (RFC 7468), without a look at what they hold. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace knarr::api {

struct PemBlock {
  std::string type;
  std::string bytes;
};

// Nothing of what is between the blocks, nor of those that are cut or no base64.
std::vector<PemBlock> pem_blocks(std::string_view text);

}  // namespace knarr::api
