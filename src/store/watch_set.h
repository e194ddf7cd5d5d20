// The watchers of a store, for every backend: who is told of what, safely against watchers that end
// or begin watches while they are told. Loop thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "knarr/kv_store.h"

namespace knarr::kv {

class WatchSet {
 public:
  // Shared by the set and the handle the caller holds.
  struct Entry {
    std::string begin;
    std::string end;
    Revision from = 0;           // nothing older is told
    Watcher* watcher = nullptr;  // null: ended
    bool live = true;            // false: dispatch passes it by until its replay was told

    // Tells what lies in the range and is not older than `from`.
    void tell(Revision revision, const std::vector<Event>& events);
  };

  std::shared_ptr<Entry> add(std::string begin, std::string end, Revision from, Watcher& watcher,
                             bool live);
  static std::unique_ptr<Watch> handle(std::shared_ptr<Entry> entry);

  void dispatch(Revision revision, const std::vector<Event>& events);

 private:
  std::vector<std::shared_ptr<Entry>> entries_;
  int dispatching_ = 0;
};

// Tells events of several revisions, in order, one call a revision.
void tell_by_revision(WatchSet::Entry& entry, std::vector<Event> events);

}  // namespace knarr::kv
