// What a node remembers of the API on its disk, for a start without its server: the objects of its
// watches, and the answers to what it asked for by name. Every file is sealed with the node's key,
// for there are secrets among them. Small files, written without a sync: after a power cut the
// newest may be missing, none is half there. Loop thread; what is kept is written on a thread of
// its own, and what is read waits for that: reading is for when there is no server.
//
//   <folder>/<hash of a watch>/<hash of an object's name>    <folder>/{answers,tokens}/<hash of a
//   request>
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/resource.h"
#include "base/worker.h"
#include "knarr/client.h"

namespace knarr::agent {

class Memory {
 public:
  Memory(base::Loop& loop, std::string folder, std::string_view node_key);
  ~Memory();  // when all is written

  void keep(const client::WatchTarget& watch, const ObjectRef& object);
  void forget(const client::WatchTarget& watch, const NamespacedName& name);
  // The server's list is whole: what is kept beside these objects ends. From here on all() answers,
  // until something can't be kept.
  void whole(const client::WatchTarget& watch, const std::vector<NamespacedName>& names);
  // Everything there was; nothing when that is not known for certain.
  std::optional<std::vector<ObjectRef>> all(const client::WatchTarget& watch) const;

  // Answers to reads, and to requests for tokens; those to other requests are not kept.
  static bool keeps(const client::Request& request);
  void keep_answer(const client::Request& request, const ObjectRef& answer);
  void forget_answer(const client::Request& request);
  ObjectRef answer(const client::Request& request) const;  // null: none is known

  // A watch of this begins: what is kept for it is still wanted.
  void begins(const client::WatchTarget& watch);
  // Ends what no watch wants any more and what nobody has asked for in long: configMaps and secrets
  // of pods that have gone, mostly. Done by itself once a day, when something is kept.
  void forget_old(int64_t now_seconds);

 private:
  class Files;
  void later(std::function<void(Files&)> work);
  const Files& now() const;

  std::shared_ptr<Files> files_;
  mutable base::Worker worker_;
  int64_t swept_;  // seconds since the epoch
};

}  // namespace knarr::agent
