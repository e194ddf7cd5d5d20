#include "api/protobuf/layout.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>

#include "knarr/check.h"

namespace knarr::api {
namespace {

std::vector<Slot> slots_of(const Type& type, const Inline* level) {
  std::vector<Slot> out;
  for (const Field& field : type.fields()) {
    if (field.is(Field::kTypeMeta)) continue;
    if (field.via == level) {
      if (field.number != 0) out.push_back({field.number, &field, nullptr});
      continue;
    }
    // The embedded struct on this level through which the field is reached.
    for (const Inline* at = field.via; at != nullptr; at = at->outer) {
      if (at->outer != level) continue;
      bool known =
          std::any_of(out.begin(), out.end(), [&](const Slot& s) { return s.inner == at; });
      if (!known) out.push_back({at->number, nullptr, at});
    }
  }
  std::sort(out.begin(), out.end(),
            [](const Slot& a, const Slot& b) { return a.number < b.number; });
  return out;
}

// Which slot of `level` a field is in, itself or within an embedded struct.
uint16_t slot_with(const Layout& layout, const Field& field) {
  const Inline* inner = nullptr;
  for (const Inline* at = field.via; at != layout.level; at = at->outer) {
    if (at == nullptr) return Layout::kNone;
    inner = at;
  }
  for (size_t i = 0; i < layout.slots.size(); i++) {
    const Slot& slot = layout.slots[i];
    if (inner != nullptr ? slot.inner == inner : slot.field == &field) {
      return static_cast<uint16_t>(i);
    }
  }
  return Layout::kNone;
}

bool has_zero(const Field& field) {
  TypeKind kind = field.type->kind;
  if (kind == TypeKind::kList) return field.is(Field::kWrapped);
  return kind != TypeKind::kMap && kind != TypeKind::kBytes && !field.is(Field::kPointer);
}

void put_message(WireBuffer& out, int number, std::string_view content) {
  out.bytes(number, content);
}

std::unique_ptr<Layout> make(const Type& type, const Inline* level) {
  auto layout = std::make_unique<Layout>();
  layout->type = &type;
  layout->level = level;
  layout->slots = slots_of(type, level);
  uint16_t last = 0;
  for (const Field& field : type.fields()) {
    uint16_t slot = slot_with(*layout, field);
    layout->slot_of.push_back(slot);
    if (slot == Layout::kNone) continue;
    layout->in_order = layout->in_order && slot >= last;
    last = slot;
  }
  WireBuffer zeros;
  for (const Slot& slot : layout->slots) {
    layout->zero_at.push_back(static_cast<uint32_t>(zeros.size()));
    if (slot.inner != nullptr) {
      put_message(zeros, slot.number, layout_of(type, slot.inner).all_zeros);
    } else if (has_zero(*slot.field)) {
      put_zero(zeros, slot.number, *slot.field->type);
    }
  }
  layout->zero_at.push_back(static_cast<uint32_t>(zeros.size()));
  layout->all_zeros = zeros.take();
  return layout;
}

}  // namespace

void put_zero(WireBuffer& out, int number, const Type& type) {
  WireBuffer content;
  switch (type.kind) {
    case TypeKind::kBool:
    case TypeKind::kInt32:
    case TypeKind::kInt64: return out.integer(number, 0);
    case TypeKind::kDouble:
      out.tag(number, kFixed64Wire);
      return out.append(std::string_view("\0\0\0\0\0\0\0\0", 8));
    case TypeKind::kStruct: return put_message(out, number, layout_of(type, nullptr).all_zeros);
    case TypeKind::kQuantity: content.bytes(1, ""); break;
    case TypeKind::kDuration: content.integer(1, 0); break;
    case TypeKind::kSchemaOrBool: content.integer(1, 1); break;
    case TypeKind::kIntOrString:
      content.integer(1, 0);
      content.integer(2, 0);
      content.bytes(3, "");
      break;
    default: break;
  }
  put_message(out, number, content.view());
}

const Layout& layout_of(const Type& type, const Inline* level) {
  // A layout is made outside the lock, as it asks for others; of two that are made at once one is
  // kept.
  static std::mutex mutex;
  static std::map<std::pair<const Type*, const Inline*>, std::unique_ptr<Layout>> known;
  {
    std::lock_guard<std::mutex> lock(mutex);
    auto at = known.find({&type, level});
    if (at != known.end()) return *at->second;
  }
  std::unique_ptr<Layout> made = make(type, level);
  std::lock_guard<std::mutex> lock(mutex);
  return *known.emplace(std::pair(&type, level), std::move(made)).first->second;
}

const Layout& Slot::below(const Type& of) const {
  std::atomic_ref<const Layout*> cached(known_below);
  const Layout* found = cached.load(std::memory_order_acquire);
  if (found != nullptr) return *found;
  const Type* type = &of;
  while (!type->is_struct()) {
    type = type->element;
    CHECK(type != nullptr);
  }
  found = &layout_of(*type, nullptr);
  cached.store(found, std::memory_order_release);
  return *found;
}

}  // namespace knarr::api
