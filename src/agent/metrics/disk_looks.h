// How full disks are, asked with an end to patience: a dead one (a network file system whose server
// is gone) keeps who touches it, perhaps forever.
//
// A request's paths are looked at one after the other by one thread, and its answer comes in any
// case within kPatienceMs, then with what was found so far. A path that was being looked at then is
// left out of all requests until that look has come back; what it finds is told once, to who asks
// within kLateMs. While kMostStuck threads hang so, nothing is looked at. Loop thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/metrics/node_sample.h"
#include "agent/offload.h"
#include "knarr/clock.h"

namespace knarr::agent {

class DiskLooks {
 public:
  static constexpr int64_t kPatienceMs = 5000;
  static constexpr int64_t kLateMs = 60000;
  static constexpr size_t kMostStuck = 2;

  struct Path {
    std::string path;
    bool files = false;  // what is below it; else its file system
    auto operator<=>(const Path&) const = default;
  };
  // In the order of the paths; nothing where it could not be found out.
  using Found = std::vector<std::optional<DiskUse>>;
  using Done = std::function<void(Found)>;
  using LookAt = std::function<std::optional<DiskUse>(const Path&)>;  // blocks; on any thread

  // Of this machine.
  static std::optional<DiskUse> look_at_disk(const Path& path);

  DiskLooks(Offload& offload, Clock& clock, LookAt look_at = look_at_disk);
  ~DiskLooks();
  // `done` comes once, perhaps within the call.
  void look(const std::vector<Path>& paths, Done done);

 private:
  struct Work;
  struct Look;
  using LookRef = std::shared_ptr<Look>;
  void give_up(const LookRef& look);
  void ended(const LookRef& look);

  Offload& offload_;
  Clock& clock_;
  LookAt look_at_;
  std::multiset<Path> stuck_;  // one a thread
  struct Late {                // found after who asked was answered
    std::optional<DiskUse> use;
    int64_t at_ms = 0;
  };
  std::map<Path, Late> late_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace knarr::agent
