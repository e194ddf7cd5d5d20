// The messages of a struct type by number: what is its own field, what is an embedded struct; and
// what stands in a message for members that are absent.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "api/protobuf/wire.h"
#include "api/schema/schema.h"

namespace knarr::api {

struct Layout;

// One number of a message. Exactly one of field and inner is set.
struct Slot {
  uint16_t number = 0;
  const Field* field = nullptr;
  const Inline* inner = nullptr;
  mutable const Layout* known_below = nullptr;  // below() has found it

  // The message that the slot holds, itself or as elements; its type must have a struct.
  const Layout& below(const Type& of) const;
};

// A message: a struct (level null) or a struct embedded in it. Made once, never freed; any thread.
struct Layout {
  static constexpr uint16_t kNone = 0xffff;

  const Type* type = nullptr;
  const Inline* level = nullptr;
  std::vector<Slot> slots;        // by ascending number
  std::vector<uint16_t> slot_of;  // of each of type->fields(); kNone: not in this message
  bool in_order = true;           // fields stand in JSON as slots do in the message
  // What a message has where members are absent: proto2 as Go writes it, in which scalars and
  // structs that are not optional always stand. zeros(i, j) is that of the slots i to j - 1.
  std::string all_zeros;
  std::vector<uint32_t> zero_at;
  mutable uint8_t length_guess = 1;  // bytes of the last one's length; any value is right

  std::string_view zeros(size_t from, size_t to) const {
    return std::string_view(all_zeros).substr(zero_at[from], zero_at[to] - zero_at[from]);
  }
};

const Layout& layout_of(const Type& type, const Inline* level);

// A value of this type that is absent, where one must stand.
void put_zero(WireBuffer& out, int number, const Type& type);

}  // namespace knarr::api
