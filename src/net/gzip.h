// gzip of whole bodies, for answers whose client accepts it and for peers that send it.
#pragma once

#include <string>
#include <string_view>

#include "knarr/result.h"
#include "net/bytes.h"
#include "net/headers.h"

namespace knarr::net {

// Whether Accept-Encoding allows gzip (q=0 forbids).
bool accepts_gzip(const Headers& request_headers);
std::string gzip(const Buffers& body, int level = 1);
// kBadRequest when damaged, kRequestEntityTooLarge past the limit.
Result<std::string> gunzip(std::string_view bytes, size_t limit_bytes);

}  // namespace knarr::net
