// Frames between knarr and a shim, and the values in them.
#include <cstddef>
#include <cstdint>

#include "runtime/spec.h"
#include "runtime/wire.h"

using namespace knarr::runtime;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  MessageReader reader;
  reader.feed(std::string_view(reinterpret_cast<const char*>(data), size));
  Message message;
  while (true) {
    knarr::Result<bool> more = reader.next(message);
    if (!more.ok() || !*more) return 0;
    LaunchSpec launch;
    from_json(message.body["spec"], launch);
    ContainerProgress progress;
    from_json(message.body["container"], progress);
  }
}
