#include "agent/housekeeper.h"

#include <limits>
#include <utility>

#include "base/format.h"
#include "base/log.h"
#include "runtime/image/files.h"

namespace knarr::agent {

namespace {

constexpr int64_t kTransitionMs = 5 * 60 * 1000;
constexpr int64_t kGraceMs = 1000;

}  // namespace

struct Housekeeper::Round {
  Pressure pressure;
  Threshold threshold;
  Supply supply;
  std::vector<PodUse> pods;
  size_t waiting = 1;
};

Housekeeper::Housekeeper(Deps deps, EvictionSettings settings)
    : deps_(std::move(deps)), settings_(settings) {}

Housekeeper::~Housekeeper() { *alive_ = false; }

bool Housekeeper::under(Pressure pressure) const {
  auto it = last_met_ms_.find(pressure);
  return it != last_met_ms_.end() && now_ms() - it->second < kTransitionMs;
}

void Housekeeper::note(Pressure pressure, bool met) {
  if (met) last_met_ms_[pressure] = now_ms();
}

void Housekeeper::look(const MachineUse& use) {
  bool memory = settings_.memory.met(use.memory);
  bool inodes = settings_.inodes.met(use.inodes);
  bool disk = settings_.disk.met(use.disk) || inodes;
  note(Pressure::kMemory, memory);
  note(Pressure::kDisk, disk);
  deps_.show_pressure(under(Pressure::kMemory), under(Pressure::kDisk));
  if (busy_ || still_going()) return;
  if (memory) return evict(Pressure::kMemory, settings_.memory, use.memory);
  int64_t bytes = image_bytes_to_free(use.disk, settings_);
  if (disk) bytes = std::numeric_limits<int64_t>::max();
  if (bytes <= 0) return;
  busy_ = true;
  remove_images(bytes, [this, disk, inodes] {
    busy_ = false;
    if (!disk) return;
    MachineUse after = read_machine_use(deps_.data_dir);
    if (inodes && settings_.inodes.met(after.inodes)) {
      evict(Pressure::kDisk, settings_.inodes, after.inodes);
    } else if (settings_.disk.met(after.disk)) {
      evict(Pressure::kDisk, settings_.disk, after.disk);
    }
  });
}

Admission Housekeeper::admit(const Pod& pod) const {
  for (Pressure pressure : {Pressure::kMemory, Pressure::kDisk}) {
    if (!under(pressure) || !refused_under(pod, pressure)) continue;
    const char* name = pressure == Pressure::kMemory ? "MemoryPressure" : "DiskPressure";
    return {"Evicted", fmt::format("The node had condition: [{}]. ", name)};
  }
  return {};
}

void Housekeeper::used(const std::string& image_id) { images_[image_id].last_used_ms = now_ms(); }

void Housekeeper::remove_images(int64_t bytes, std::function<void()> done) {
  deps_.runtime.list_images([this, alive = std::weak_ptr<bool>(alive_), bytes,
                             done](Result<std::vector<runtime::ImageSpec>> list) {
    if (alive.expired()) return;
    std::set<std::string> in_use = kept_;
    for (const auto& machine : deps_.pods()) {
      for (const ContainerSpec& c : machine->pod()->containers()) {
        for (bool previous : {false, true}) {
          const runtime::ContainerStatus* s = machine->container(c.name, previous);
          if (s != nullptr) in_use.insert(s->image_id);
        }
      }
    }
    std::map<std::string, Seen> seen;
    std::vector<ImageUse> images;
    for (const runtime::ImageSpec& image : list.ok() ? *list : std::vector<runtime::ImageSpec>()) {
      Seen& known = seen[image.id];
      known = images_[image.id];
      if (known.found_ms < 0) known.found_ms = now_ms();
      images.push_back({image.id, image.size_bytes, known.last_used_ms, known.found_ms,
                        in_use.count(image.id) > 0});
    }
    images_ = std::move(seen);
    remove_next(images_to_remove(std::move(images), bytes, now_ms()), done);
  });
}

void Housekeeper::remove_next(std::vector<std::string> ids, std::function<void()> done) {
  if (ids.empty()) return done();
  std::string id = std::move(ids.front());
  ids.erase(ids.begin());
  deps_.runtime.remove_image(
      id, [this, alive = std::weak_ptr<bool>(alive_), id, ids, done](const Result<void>& removed) {
        if (alive.expired()) return;
        base::log(base::Level::kInfo, "agent", "image {} removed to free the disk{}", id,
                  removed.ok() ? "" : ": " + removed.error().message);
        images_.erase(id);
        deps_.images_changed();
        remove_next(ids, done);
      });
}

// A pod that was told to go has not gone yet: what it frees is not known.
bool Housekeeper::still_going() const {
  auto victim = victim_.lock();
  return victim && victim->state() < PodMachine::State::kDone;
}

void Housekeeper::evict(Pressure pressure, const Threshold& threshold, const Supply& supply) {
  busy_ = true;
  auto round = std::make_shared<Round>(Round{pressure, threshold, supply, {}});
  for (const auto& machine : deps_.pods()) {
    if (machine->state() >= PodMachine::State::kStopping) continue;
    round->pods.push_back({machine->pod(), {}, 0});
  }
  measure(std::move(round));
}

// What each of them uses: its containers by their cgroups, its files by their blocks.
void Housekeeper::measure(std::shared_ptr<Round> round) {
  std::weak_ptr<bool> alive = alive_;
  auto one_done = [this, alive, round] {
    if (!alive.expired() && --round->waiting == 0) choose(*round);
  };
  bool disk = round->pressure == Pressure::kDisk;
  std::map<std::string, std::shared_ptr<PodMachine>> machines;
  for (const auto& machine : deps_.pods()) machines[machine->pod()->uid()] = machine;
  for (size_t i = 0; i < round->pods.size(); i++) {
    const PodRef& pod = round->pods[i].pod;
    for (const ContainerSpec& c : pod->containers()) {
      const runtime::ContainerStatus* s = machines[pod->uid()]->container(c.name, false);
      if (s == nullptr || s->state != runtime::ContainerState::kRunning) continue;
      round->waiting++;
      deps_.runtime.stats(s->id, [round, i, disk, name = c.name,
                                  one_done](const Result<runtime::ContainerStats>& stats) {
        if (stats.ok()) {
          uint64_t bytes = disk ? stats->rootfs_used_bytes : stats->usage.memory_working_set_bytes;
          round->pods[i].containers.push_back({name, static_cast<int64_t>(bytes)});
        }
        one_done();
      });
    }
    if (!disk) continue;
    round->waiting++;
    auto bytes = std::make_shared<uint64_t>(0);
    auto work = [bytes, files = deps_.data_dir + "/pods/" + pod->uid() + "/volumes",
                 logs = deps_.log_folder(*pod)]() -> Result<void> {
      uint64_t inodes = 0;
      runtime::add_tree_usage(files, *bytes, inodes);
      runtime::add_tree_usage(logs, *bytes, inodes);
      return {};
    };
    deps_.offload.run("", work, [round, i, bytes, one_done](const Result<void>&) {
      round->pods[i].volumes_bytes = static_cast<int64_t>(*bytes);
      one_done();
    });
  }
  one_done();
}

void Housekeeper::choose(const Round& round) {
  busy_ = false;
  std::vector<PodUse> order = eviction_order(round.pods, round.pressure);
  for (const PodUse& first : order) {
    for (const auto& machine : deps_.pods()) {
      if (machine->pod()->uid() != first.pod->uid()) continue;
      std::string message = eviction_message(first, round.pressure, round.threshold, round.supply);
      base::log(base::Level::kWarning, "agent", "evicting {}: {}", first.pod->full_name(), message);
      victim_ = machine;
      machine->evict(message, kGraceMs);
      return;
    }
  }
}

}  // namespace knarr::agent
