// Keeps the node from running full: removes unused images when the disk fills up, shows pressure as
// the node's conditions, and evicts pods when memory or disk are nearly gone.
//
//   look (each time the node renews its lease: it is awake then) -> unused images, when the disk is
//   filling -> pressure? conditions, all unused images -> still? one pod, and nobody else until it
//   is gone
//
// A condition stays for five minutes after the last sight of its cause, so that pods do not come
// and go with it. Loop thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agent/eviction.h"
#include "agent/offload.h"
#include "agent/pod_machine.h"
#include "knarr/runtime.h"

namespace knarr::agent {

class Housekeeper {
 public:
  struct Deps {
    Clock& clock;
    runtime::Runtime& runtime;
    Offload& offload;
    std::string data_dir;
    std::function<std::vector<std::shared_ptr<PodMachine>>()> pods;
    std::function<std::string(const Pod&)> log_folder;
    std::function<void()> images_changed;
    std::function<void(bool memory, bool disk)> show_pressure;
  };
  Housekeeper(Deps deps, EvictionSettings settings);
  ~Housekeeper();

  void look() { look(read_machine_use(deps_.data_dir)); }
  void look(const MachineUse& use);
  // Of a pod that comes now: reason Evicted.
  Admission admit(const Pod& pod) const;
  // The image has been in use until now.
  void used(const std::string& image_id);
  // Those that are never removed for room.
  void keep_images(std::set<std::string> ids) { kept_ = std::move(ids); }

 private:
  struct Seen {
    int64_t found_ms = -1;  // -1: not yet
    int64_t last_used_ms = -1;
  };
  struct Round;  // of measuring pods
  bool under(Pressure pressure) const;
  void note(Pressure pressure, bool met);
  void remove_images(int64_t bytes, std::function<void()> done);
  void remove_next(std::vector<std::string> ids, std::function<void()> done);
  void evict(Pressure pressure, const Threshold& threshold, const Supply& supply);
  void measure(std::shared_ptr<Round> round);
  void choose(const Round& round);
  bool still_going() const;
  int64_t now_ms() const { return deps_.clock.monotonic_ms(); }

  Deps deps_;
  EvictionSettings settings_;
  std::map<Pressure, int64_t> last_met_ms_;
  std::map<std::string, Seen> images_;
  std::set<std::string> kept_;
  std::weak_ptr<PodMachine> victim_;
  bool busy_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace knarr::agent
