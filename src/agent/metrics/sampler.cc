#include "agent/metrics/sampler.h"

#include <utility>

#include "api/view/volume.h"

namespace knarr::agent {

namespace {

// A runtime that touches a dead disk does not answer. Disks have their own, shorter end.
constexpr int64_t kPatienceMs = DiskLooks::kPatienceMs + 3000;
constexpr int64_t kLeastRateNs = 100 * 1000000LL;
constexpr int64_t kMostRateNs = 300 * 1000000000LL;

std::string claim_of(const Pod& pod, const json::Value& volume) {
  if (volume.has("ephemeral")) return api::ephemeral_claim_name(pod.name(), volume);
  return volume["persistentVolumeClaim"]["claimName"].text();
}

const char* state_text(runtime::ContainerState state) {
  switch (state) {
    case runtime::ContainerState::kCreated: return "created";
    case runtime::ContainerState::kRunning: return "running";
    case runtime::ContainerState::kExited: return "exited";
    case runtime::ContainerState::kUnknown: break;
  }
  return "unknown";
}

}  // namespace

struct Sampler::Look {
  Depth depth;
  NodeSample sample;
  std::string data_dir;
  std::vector<std::string> log_folders;  // of the pods, in their order
  Readings readings;
  size_t waiting = 1;  // for so many answers
  bool told = false;   // to who asked
  std::unique_ptr<Timer> patience;
};

Sampler::Sampler(Agent& agent, Clock& clock)
    : agent_(agent),
      clock_(clock),
      node_disk_(agent.offload(), clock),
      pod_disks_(agent.offload(), clock) {}

Sampler::~Sampler() { *alive_ = false; }

void Sampler::take(Depth depth, Done done) {
  std::vector<Done>& waiting = waiting_[depth];
  waiting.push_back(std::move(done));
  if (waiting.size() > 1) return;
  auto look = std::make_shared<Look>();
  look->depth = depth;
  look->patience = clock_.timer([this, weak = std::weak_ptr<Look>(look)] {
    if (LookRef look = weak.lock()) give_up(look);
  });
  look->patience->start(kPatienceMs);
  agent_.runtime().usage(
      [this, look, alive = std::weak_ptr<bool>(alive_)](const Result<runtime::UsageReport>& r) {
        if (alive.expired()) return;
        look->sample.failed = !r.ok();
        measured(look, r.ok() ? *r : runtime::UsageReport());
      });
}

void Sampler::measured(const LookRef& look, const runtime::UsageReport& report) {
  NodeSample& sample = look->sample;
  sample.node = agent_.node_name();
  sample.now_us = clock_.now_us();
  sample.all_pods = measure(*look, "pods", report.all);
  sample.interfaces = report.interfaces;
  sample.probes = agent_.probe_counts();
  look->data_dir = agent_.data_dir();
  for (const PodMachine* machine : agent_.pods()) {
    for (const ContainerSpec& c : machine->pod()->containers()) {
      const runtime::ContainerStatus* status = machine->container(c.name, false);
      if (status != nullptr) sample.container_states[state_text(status->state)]++;
    }
    for (const runtime::SandboxUsage& usage : report.sandboxes) {
      if (usage.sandbox_id != machine->sandbox_id()) continue;
      add_pod(*look, *machine, usage);
      look->log_folders.push_back(agent_.log_folder(*machine->pod()));
    }
  }
  if (!look->told) {
    look_at_machine(look);
    if (look->depth != Depth::kUsage) look_at_disks(look);
    if (look->depth == Depth::kFiles && late_ == 0) look_at_files(look);
  }
  one_done(look);
}

void Sampler::add_pod(Look& look, const PodMachine& machine, const runtime::SandboxUsage& usage) {
  PodSample p;
  p.pod = machine.pod();
  p.sandbox_id = usage.sandbox_id;
  p.measured = measure(look, usage.sandbox_id, usage.usage);
  p.interfaces = usage.interfaces;
  for (const ContainerSpec& c : p.pod->containers()) {
    const runtime::ContainerStatus* status = machine.container(c.name, false);
    auto used = status == nullptr ? usage.containers.end() : usage.containers.find(status->id);
    if (used == usage.containers.end()) continue;
    p.containers.push_back({c.name, *status, measure(look, status->id, used->second), {}, {}});
  }
  for (const json::Value& volume : p.pod->spec()["volumes"].elements()) {
    std::string name = volume["name"].text();
    std::string path = volume.has("hostPath") ? "" : agent_.volume_path(p.pod->uid(), name);
    if (!path.empty()) p.volumes.push_back({name, claim_of(*p.pod, volume), path, {}});
  }
  look.sample.pods.push_back(std::move(p));
}

void Sampler::look_at_machine(const LookRef& look) {
  auto machine = std::make_shared<MachineSample>();
  auto work = [machine]() -> Result<void> {
    read_machine_usage(*machine);
    return {};
  };
  look->waiting++;
  agent_.offload().run(
      "", work, [this, alive = std::weak_ptr<bool>(alive_), look, machine](const Result<void>&) {
        if (alive.expired()) return;
        static_cast<MachineSample&>(look->sample) = *machine;
        look->sample.complete = true;
        one_done(look);
      });
}

void Sampler::look_at_disks(const LookRef& look) {
  NodeSample& sample = look->sample;
  std::vector<DiskLooks::Path> paths;
  std::vector<std::optional<DiskUse>*> places;  // in the look, which nobody changes any more
  auto add = [&](const std::string& path, bool files, std::optional<DiskUse>& place) {
    paths.push_back({path, files});
    places.push_back(&place);
  };
  bool files = look->depth == Depth::kFiles;
  for (size_t i = 0; i < sample.pods.size(); i++) {
    for (VolumeSample& volume : sample.pods[i].volumes) {
      // A claim's file system is taken for its own.
      bool own = !volume.claim.empty();
      if (own || files) add(volume.path, !own, volume.disk);
    }
    if (!files) continue;
    for (ContainerSample& c : sample.pods[i].containers) {
      add(look->log_folders[i] + "/" + c.name, true, c.logs);
    }
  }
  look->waiting += 2;
  std::vector<DiskLooks::Path> own = {{look->data_dir, false}};
  node_disk_.look(own, [this, look](const DiskLooks::Found& found) {
    look->sample.disk = found[0];
    one_done(look);
  });
  pod_disks_.look(paths, [this, look, places](const DiskLooks::Found& found) {
    for (size_t i = 0; i < found.size(); i++) *places[i] = found[i];
    one_done(look);
  });
}

// What the runtime keeps: images, and what containers have written.
void Sampler::look_at_files(const LookRef& look) {
  std::weak_ptr<bool> alive = alive_;
  look->waiting++;
  agent_.runtime().image_usage([this, alive, look](const Result<runtime::FilesystemUsage>& usage) {
    if (alive.expired()) return;
    if (usage.ok()) {
      look->sample.images.emplace();
      look->sample.images->used_bytes = usage->used_bytes;
      look->sample.images->inodes_used = usage->inodes_used;
    }
    one_done(look);
  });
  for (size_t i = 0; i < look->sample.pods.size(); i++) {
    for (size_t j = 0; j < look->sample.pods[i].containers.size(); j++) {
      look->waiting++;
      agent_.runtime().stats(
          look->sample.pods[i].containers[j].status.id,
          [this, alive, look, i, j](const Result<runtime::ContainerStats>& stats) {
            if (alive.expired()) return;
            if (stats.ok()) {
              DiskUse& rootfs = look->sample.pods[i].containers[j].rootfs.emplace();
              rootfs.used_bytes = stats->rootfs_used_bytes;
              rootfs.inodes_used = stats->rootfs_inodes_used;
            }
            one_done(look);
          });
    }
  }
}

void Sampler::one_done(const LookRef& look) {
  look->waiting--;
  if (look->told) {
    late_--;
  } else if (look->waiting == 0) {
    tell(look);
  }
}

// Who asked is answered without what did not come; that is not asked for again until it has come.
void Sampler::give_up(const LookRef& look) {
  if (look->told) return;
  late_ += look->waiting;
  tell(look);
  clock_.defer([look] {});  // its timer is what calls
}

void Sampler::tell(const LookRef& look) {
  look->told = true;
  look->patience->stop();
  NodeSample& sample = look->sample;
  if (sample.complete) sample.machine = measure(*look, "machine", sample.machine.usage);
  // These lie on the node's own file system.
  auto on_disk = [&](std::optional<DiskUse>& use) {
    if (!use || !sample.disk) return;
    uint64_t bytes = use->used_bytes, inodes = use->inodes_used;
    use = sample.disk;
    use->used_bytes = bytes;
    use->inodes_used = inodes;
  };
  on_disk(sample.images);
  for (PodSample& pod : sample.pods) {
    for (ContainerSample& c : pod.containers) on_disk(c.rootfs);
  }
  // What was not seen this time is forgotten.
  before_[look->depth] = std::move(look->readings);
  std::vector<Done> waiting = std::exchange(waiting_[look->depth], {});
  for (Done& done : waiting) done(sample);
}

Measured Sampler::measure(Look& look, const std::string& key, const runtime::Usage& usage) {
  Measured m{usage, {}};
  look.readings[key] = {usage.timestamp_ns, usage.cpu_usage_ns};
  const Readings& before = before_[look.depth];
  auto it = before.find(key);
  if (it == before.end()) return m;
  int64_t window_ns = usage.timestamp_ns - it->second.timestamp_ns;
  if (window_ns < kLeastRateNs || window_ns > kMostRateNs) return m;
  if (usage.cpu_usage_ns < it->second.cpu_ns) return m;  // another of the same name
  uint64_t used = usage.cpu_usage_ns - it->second.cpu_ns;
  m.nano_cores =
      static_cast<uint64_t>(static_cast<double>(used) * 1e9 / static_cast<double>(window_ns));
  return m;
}

}  // namespace knarr::agent
