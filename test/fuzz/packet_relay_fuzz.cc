// A node's bytes to the packet relay's readers: frames, whatever the pieces they come in, and the
// addresses of what is in them.
#include "server/http/packet_relay.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  std::string whole, pieces;
  knarr::net::FrameReader at_once, slowly;
  at_once.add(bytes);
  while (auto frame = at_once.next()) {
    knarr::server::packet_addresses(*frame);
    knarr::net::append_frame(whole, *frame);
  }
  for (size_t at = 0; at < size; at += 3) {
    slowly.add(bytes.substr(at, 3));
    while (auto frame = slowly.next()) knarr::net::append_frame(pieces, *frame);
  }
  if (whole != pieces || !bytes.starts_with(whole)) __builtin_trap();
  return 0;
}
