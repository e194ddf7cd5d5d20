// Any bytes to both roles of the WebSocket codec.
#include "net/websocket.h"

using knarr::net::WebSocketCodec;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (auto role : {WebSocketCodec::Role::kServer, WebSocketCodec::Role::kClient}) {
    WebSocketCodec codec(role, 4096);
    for (size_t at = 0; at < size; at += 7) {
      if (!codec.feed(bytes.substr(at, 7)).ok()) break;
      codec.output();
    }
  }
  return 0;
}
