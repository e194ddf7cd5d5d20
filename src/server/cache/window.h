// The last changes of one resource: what watches resume in and older reads are rolled back through.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "server/cache/table.h"
#include "server/cache/watch.h"

namespace knarr::server {

class Window {
 public:
  using ChangeRef = std::shared_ptr<const Change>;
  // States of the objects that changed since a revision, as they were at it (null: absent).
  struct Order {
    bool operator()(const NamespacedName& a, const NamespacedName& b) const {
      return list_order(a, b) < 0;
    }
  };
  using Rollback = std::map<NamespacedName, ObjectRef, Order>;

  Window(size_t max_changes, size_t max_bytes) : max_changes_(max_changes), max_bytes_(max_bytes) {}

  // Forgets everything; changes after `start` are to be pushed from now on.
  void reset(kv::Revision start);
  void push(ChangeRef change);
  // Forgets changes at or below a revision. start() moves to the last one forgotten only: while
  // nothing changes, an old revision stays good to watch from.
  void trim(kv::Revision revision);

  // All changes after this revision are here.
  kv::Revision start() const { return start_; }
  std::vector<ChangeRef> since(kv::Revision revision) const;
  Rollback rollback_to(kv::Revision revision) const;

 private:
  void pop();

  size_t max_changes_;
  size_t max_bytes_;
  kv::Revision start_ = 0;
  size_t bytes_ = 0;
  std::deque<ChangeRef> changes_;
};

}  // namespace knarr::server
