#include "api/known_objects.h"

#include <vector>

namespace knarr::api {

void KnownObjects::begin_list() {
  listing_ = true;
  listed_.clear();
}

void KnownObjects::end_list() {
  if (!listing_) return;
  listing_ = false;
  std::vector<ObjectRef> gone;
  for (const auto& [name, object] : told_) {
    if (!listed_.contains(name)) gone.push_back(object);
  }
  listed_.clear();
  std::weak_ptr<bool> alive = alive_;
  for (const ObjectRef& object : gone) {
    told_.erase(object->name);
    handler_.on_delete(object);
    if (alive.expired()) return;
  }
  handler_.on_synced();
}

void KnownObjects::upsert(const ObjectRef& object) {
  if (listing_) {
    listed_.insert(object->name);
    auto it = told_.find(object->name);
    if (it != told_.end() && it->second->revision == object->revision) return;
  }
  told_[object->name] = object;
  handler_.on_upsert(object);
}

void KnownObjects::remove(const ObjectRef& last) {
  listed_.erase(last->name);
  told_.erase(last->name);
  handler_.on_delete(last);
}

std::vector<NamespacedName> KnownObjects::names() const {
  std::vector<NamespacedName> names;
  for (const auto& [name, object] : told_) names.push_back(name);
  return names;
}

}  // namespace knarr::api
