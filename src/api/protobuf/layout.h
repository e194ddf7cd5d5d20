// The messages of a struct type by number: what is its own field, what is an embedded struct.
#pragma once

#include <cstdint>
#include <vector>

#include "api/schema/schema.h"

namespace knarr::api {

// One number of a message. Exactly one of field and inner is set.
struct Slot {
  uint16_t number;
  const Field* field;
  const Inline* inner;
};

// The slots of a struct (level null) or of a struct embedded in it, by ascending number. Cached.
const std::vector<Slot>& slots_of(const Type& type, const Inline* level);

}  // namespace knarr::api
