#include "server/cache/table.h"

#include <algorithm>
#include <utility>

namespace knarr::server {

// As if compared in one string each: '-' and '.' sort before the '/' that ends a namespace.
std::strong_ordering list_order(const NamespacedName& a, const NamespacedName& b) {
  size_t common = std::min(a.ns.size(), b.ns.size());
  int order = a.ns.compare(0, common, b.ns, 0, common);
  if (order != 0) return order <=> 0;
  if (a.ns.size() == b.ns.size()) return a.name.compare(b.name) <=> 0;
  constexpr unsigned char kSlash = '/';
  if (a.ns.size() < b.ns.size()) return kSlash <=> static_cast<unsigned char>(b.ns[common]);
  return static_cast<unsigned char>(a.ns[common]) <=> kSlash;
}

// A search key has no object: it sorts before all entries of its value.
bool Table::EntryOrder::operator()(const Entry& a, const Entry& b) const {
  if (int order = a.value.compare(b.value); order != 0) return order < 0;
  if (a.object == nullptr || b.object == nullptr) {
    return a.object == nullptr && b.object != nullptr;
  }
  return list_order((*a.object)->name, (*b.object)->name) < 0;
}

Table::Table(const std::vector<std::string>& indexed_fields) {
  for (const std::string& path : indexed_fields) fields_.try_emplace(path);
}

ObjectRef Table::find(const NamespacedName& name) const {
  auto it = objects_.find(name);
  return it == objects_.end() ? nullptr : *it;
}

ObjectRef Table::put(ObjectRef object) {
  ObjectRef previous = erase(object->name);
  index(*objects_.insert(std::move(object)).first, true);
  return previous;
}

ObjectRef Table::erase(const NamespacedName& name) {
  auto it = objects_.find(name);
  if (it == objects_.end()) return nullptr;
  index(*it, false);
  ObjectRef previous = *it;
  objects_.erase(it);
  return previous;
}

void Table::index(const ObjectRef& object, bool add) {
  auto apply = [&object, add](Index& index, std::string_view value) {
    if (add) {
      index.insert({value, &object});
    } else {
      index.erase({value, &object});
    }
  };
  for (const OwnerRef& owner : object->owners) apply(owners_, owner.uid);
  for (auto& [path, index] : fields_) {
    if (const std::string* value = object->field(path)) apply(index, *value);
  }
}

void Table::walk(const std::string& ns, const NamespacedName* after, const Visit& visit) const {
  auto it = objects_.lower_bound(NamespacedName{ns, ""});
  if (after != nullptr && list_order({ns, ""}, *after) <= 0) it = objects_.upper_bound(*after);
  for (; it != objects_.end(); ++it) {
    if (!ns.empty() && (*it)->name.ns != ns) return;
    if (!visit(*it)) return;
  }
}

void Table::walk_owned(const std::string& owner_uid, const Visit& visit) const {
  walk_index(owners_, owner_uid, visit);
}

bool Table::walk_indexed(const std::string& path, const std::string& value,
                         const Visit& visit) const {
  auto it = fields_.find(path);
  if (it == fields_.end()) return false;
  walk_index(it->second, value, visit);
  return true;
}

void Table::walk_index(const Index& index, const std::string& value, const Visit& visit) {
  for (auto it = index.lower_bound({value, nullptr}); it != index.end(); ++it) {
    if (it->value != value || !visit(*it->object)) return;
  }
}

}  // namespace knarr::server
