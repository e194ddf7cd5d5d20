// A message that parses can be written, at any limit, and what was written parses.
#include "knarr/check.h"
#include "net/dns.h"

namespace dns = knarr::net::dns;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto message = dns::parse({reinterpret_cast<const char*>(data), size});
  if (!message.ok()) return 0;
  CHECK(dns::parse(dns::write(*message)).ok());
  dns::write(*message, 512);
  dns::reverse_address(message->questions.empty() ? "" : message->questions[0].name);
  return 0;
}
