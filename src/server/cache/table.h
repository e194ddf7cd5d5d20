// The objects of one resource in list order, and the indexes over them. Objects are held once:
// every index entry points into the object it stands for, and leaves with it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>

#include "knarr/object.h"
#include "server/cache/cache.h"

namespace knarr::server {

// Bytes of "<namespace>/<name>": what etcd's order of keys comes to.
std::strong_ordering list_order(const NamespacedName& a, const NamespacedName& b);

struct ListOrder {
  using is_transparent = void;
  bool operator()(const ObjectRef& a, const ObjectRef& b) const {
    return list_order(a->name, b->name) < 0;
  }
  bool operator()(const ObjectRef& a, const NamespacedName& b) const {
    return list_order(a->name, b) < 0;
  }
  bool operator()(const NamespacedName& a, const ObjectRef& b) const {
    return list_order(a, b->name) < 0;
  }
};

class Table {
 public:
  using Visit = std::function<bool(const ObjectRef&)>;  // false stops

  explicit Table(const std::vector<std::string>& indexed_fields);

  ObjectRef find(const NamespacedName& name) const;
  // Both return what was there before.
  ObjectRef put(ObjectRef object);
  ObjectRef erase(const NamespacedName& name);
  size_t size() const { return objects_.size(); }

  // In list order, of one namespace or (empty) of all, after a name if given.
  void walk(const std::string& ns, const NamespacedName* after, const Visit& visit) const;
  void walk_owned(const std::string& owner_uid, const Visit& visit) const;
  // False when there is no such index.
  bool walk_indexed(const std::string& path, const std::string& value, const Visit& visit) const;

 private:
  struct Entry {
    std::string_view value;
    const ObjectRef* object;  // the element of objects_: set nodes do not move
  };
  struct EntryOrder {
    bool operator()(const Entry& a, const Entry& b) const;
  };
  using Index = std::set<Entry, EntryOrder>;

  void index(const ObjectRef& object, bool add);
  static void walk_index(const Index& index, const std::string& value, const Visit& visit);

  std::set<ObjectRef, ListOrder> objects_;
  Index owners_;
  std::map<std::string, Index, std::less<>> fields_;
};

}  // namespace knarr::server
