// What a node remembers of the API on its disk, for a start without its server: the objects of its
// watches, and the answers to what it asked for by name. Every file is sealed with the node's key,
// for there are secrets among them. Small files, written without a sync: after a power cut the
// newest may be missing, none is half there. Loop thread.
//
//   <folder>/<hash of a watch>/<hash of an object's name>    <folder>/answers/<hash of a request>
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/resource.h"
#include "knarr/client.h"
#include "net/seal.h"

namespace knarr::agent {

class Memory {
 public:
  Memory(std::string folder, std::string_view node_key);

  void keep(const client::WatchTarget& watch, const ObjectRef& object);
  void forget(const client::WatchTarget& watch, const NamespacedName& name);
  // What was kept and not forgotten. Files that do not open are left out.
  std::vector<ObjectRef> all(const client::WatchTarget& watch) const;

  // Answers to reads, and to requests for tokens; those to other requests are not kept.
  static bool keeps(const client::Request& request);
  void keep_answer(const client::Request& request, const ObjectRef& answer);
  void forget_answer(const client::Request& request);
  ObjectRef answer(const client::Request& request) const;  // null: none is known

  // Watches that begin say so; those that did not for long, and answers nobody asked for, end:
  // configMaps and secrets of pods that have gone, mostly.
  void begins(const client::WatchTarget& watch);
  void forget_old(int64_t now_seconds);

 private:
  void write(const std::string& path, std::string_view text);
  std::optional<std::string> read(const std::string& path) const;

  std::string folder_;
  net::Seal seal_;
};

}  // namespace knarr::agent
