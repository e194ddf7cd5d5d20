#include "api/protobuf/layout.h"

#include <algorithm>
#include <map>
#include <mutex>

namespace knarr::api {
namespace {

std::vector<Slot> compute(const Type& type, const Inline* level) {
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

}  // namespace

const std::vector<Slot>& slots_of(const Type& type, const Inline* level) {
  static std::mutex mutex;
  static std::map<std::pair<const Type*, const Inline*>, std::vector<Slot>> known;
  std::lock_guard<std::mutex> lock(mutex);
  auto it = known.find({&type, level});
  if (it == known.end()) it = known.emplace(std::pair(&type, level), compute(type, level)).first;
  return it->second;
}

}  // namespace knarr::api
