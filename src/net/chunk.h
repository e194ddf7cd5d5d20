// The framing of HTTP/1.1 bodies whose length is not known beforehand (RFC 9112, 7.1).
#pragma once

#include <cstdio>
#include <string>

#include "net/bytes.h"

namespace knarr::net {

constexpr const char* kLastChunk = "0\r\n\r\n";

// `bytes` are some: a chunk of none would be the last.
inline Buffers chunk(Buffers bytes) {
  char size[24];
  int n = std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
  Buffers out(std::string(size, static_cast<size_t>(n)));
  out.append(std::move(bytes));
  out.append(Slice::constant("\r\n"));
  return out;
}

}  // namespace knarr::net
