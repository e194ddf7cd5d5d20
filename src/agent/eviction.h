// When a node is short of something, and who has to go: the kubelet's signals, thresholds, order
// and words. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/pod.h"
#include "knarr/result.h"

namespace knarr::agent {

struct Supply {
  int64_t capacity = 0;  // 0: not known
  int64_t available = 0;
};

// What the machine has left. Memory and disk in bytes.
struct MachineUse {
  Supply memory;
  Supply disk;  // of the file system that holds everything of the node's
  Supply inodes;
};
// Reads /proc/meminfo and asks the file system.
MachineUse read_machine_use(const std::string& data_dir);
// Of the text of /proc/meminfo.
Supply memory_supply(std::string_view meminfo);

// Less than this available is too little.
struct Threshold {
  int64_t amount = 0;
  double percent = 0;  // used when the amount is 0
  int64_t of(int64_t capacity) const;
  bool met(const Supply& supply) const {
    return supply.capacity > 0 && supply.available < of(supply.capacity);
  }
  std::string text() const;  // "100Mi", "15%"
};

struct EvictionSettings {
  Threshold memory{100 << 20, 0};
  Threshold disk{0, 15};  // images and pods share a file system: the stricter of the two
  Threshold inodes{0, 5};
  int image_high_percent = 85;  // from here on unused images are removed
  int image_low_percent = 80;   // until so much is in use
};
// "memory.available<100Mi,nodefs.available<10%", as the kubelet's eviction-hard. Signals that are
// not named have no threshold. kInvalid for unknown ones.
Result<void> parse_eviction(std::string_view text, EvictionSettings& settings);

enum class Pressure { kMemory, kDisk };

struct ContainerUse {
  std::string name;
  int64_t used_bytes = 0;
};
struct PodUse {
  PodRef pod;
  std::vector<ContainerUse> containers;
  int64_t volumes_bytes = 0;  // on the disk, with logs
};

// Those who may be evicted, first to go first: who uses more than it asked for, then by priority,
// then by how much more.
std::vector<PodUse> eviction_order(std::vector<PodUse> pods, Pressure pressure);
std::string eviction_message(const PodUse& pod, Pressure pressure, const Threshold& threshold,
                             const Supply& supply);
// Whether a pod that comes now is refused.
bool refused_under(const Pod& pod, Pressure pressure);

// An image of the node, for those who choose which ones go.
struct ImageUse {
  std::string id;
  int64_t size_bytes = 0;
  int64_t last_used_ms = 0;
  int64_t found_ms = 0;
  bool kept = false;  // in use, or imported for good
};
// Ids of images to remove, longest unused first, until `bytes` are free; none that came less than
// two minutes ago.
std::vector<std::string> images_to_remove(std::vector<ImageUse> images, int64_t bytes,
                                          int64_t now_ms);
// How many bytes of images have to go; 0 below the high threshold.
int64_t image_bytes_to_free(const Supply& disk, const EvictionSettings& settings);

}  // namespace knarr::agent
