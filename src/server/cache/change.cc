#include "server/cache/watch.h"

namespace knarr::server {

ObjectRef Change::shown(EventType type, const Restamp& restamp) const {
  if (type != EventType::kDeleted) return object_;
  if (!tombstone_) tombstone_ = restamp(*previous_, revision_);
  return tombstone_;
}

Encoded Change::encoded(EventType type, int encoding, const Restamp& restamp,
                        const Encode& encode) const {
  for (const Slot& slot : encodings_) {
    if (slot.type == type && slot.encoding == encoding) return slot.text;
  }
  ObjectRef object = shown(type, restamp);
  auto text = std::make_shared<const std::string>(encode(type, *object));
  encodings_.push_back({type, encoding, text});
  return text;
}

}  // namespace knarr::server
