#include "api/validation/pem.h"

#include "base/base64.h"

namespace knarr::api {

std::vector<PemBlock> pem_blocks(std::string_view text) {
  constexpr std::string_view kBegin = "-----BEGIN ";
  constexpr std::string_view kDashes = "-----";
  std::vector<PemBlock> out;
  for (size_t at = text.find(kBegin); at != std::string_view::npos; at = text.find(kBegin, at)) {
    at += kBegin.size();
    size_t name_end = text.find(kDashes, at);
    if (name_end == std::string_view::npos) break;
    PemBlock block{std::string(text.substr(at, name_end - at)), ""};
    size_t body = name_end + kDashes.size();
    size_t end = text.find("-----END " + block.type + "-----", body);
    if (end == std::string_view::npos) continue;
    Result<std::string> bytes = base::base64_decode(text.substr(body, end - body));
    at = end;
    if (!bytes.ok()) continue;
    block.bytes = *std::move(bytes);
    out.push_back(std::move(block));
  }
  return out;
}

}  // namespace knarr::api
