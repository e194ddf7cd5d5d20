// What the handler of a lasting watch has been told: so that a list which begins anew, after a gap,
// tells only what differs. Both clients, in the server's process and across the network, stand on
// it.
#pragma once

#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "knarr/client.h"

namespace knarr::api {

class KnownObjects {
 public:
  explicit KnownObjects(client::WatchHandler& handler) : handler_(handler) {}

  // From here to end_list() upserts are what is there; what was told and is not among them is told
  // as deleted at the end, then on_synced() is called.
  void begin_list();
  void end_list();
  bool listing() const { return listing_; }

  void upsert(const ObjectRef& object);
  void remove(const ObjectRef& last);

  std::vector<NamespacedName> names() const;  // of what was told and not deleted

  // Expires with this: a handler may end its watch within any call.
  std::weak_ptr<bool> alive() const { return alive_; }

 private:
  client::WatchHandler& handler_;
  bool listing_ = false;
  std::unordered_map<NamespacedName, ObjectRef> told_;
  std::unordered_set<NamespacedName> listed_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace knarr::api
