// Any bytes to the SPDY codec.
#include "net/spdy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  knarr::net::SpdyCodec codec;
  for (size_t at = 0; at < size; at += 31) {
    if (!codec.feed(bytes.substr(at, 31)).ok()) break;
  }
  return 0;
}
