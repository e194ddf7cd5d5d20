// Looks at what the node and its pods use, when it is asked: nothing is measured unasked. What
// blocks is done elsewhere; who asks while a look of the same depth is under way gets its answer.
// That comes in bounded time, where a disk is dead without its figures (and what is on it), and in
// the worst case not complete. Loop thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/agent.h"
#include "agent/metrics/disk_looks.h"
#include "agent/metrics/node_sample.h"

namespace knarr::agent {

class Sampler {
 public:
  // Each with those before it.
  enum class Depth {
    kUsage,  // processors, memory, network
    kDisks,  // how full the file systems are
    kFiles,  // the files of pods, which are looked through
  };
  using Done = std::function<void(const NodeSample&)>;

  Sampler(Agent& agent, Clock& clock);
  ~Sampler();
  void take(Depth depth, Done done);

 private:
  struct Look;
  using LookRef = std::shared_ptr<Look>;
  void measured(const LookRef& look, const runtime::UsageReport& report);
  void add_pod(Look& look, const PodMachine& machine, const runtime::SandboxUsage& usage);
  void look_at_machine(const LookRef& look);
  void look_at_disks(const LookRef& look);
  void look_at_files(const LookRef& look);
  void one_done(const LookRef& look);
  void give_up(const LookRef& look);
  void tell(const LookRef& look);
  Measured measure(Look& look, const std::string& key, const runtime::Usage& usage);

  Agent& agent_;
  Clock& clock_;
  DiskLooks node_disk_, pod_disks_;
  size_t late_ = 0;  // answers that looks which were told do not have yet
  std::map<Depth, std::vector<Done>> waiting_;
  struct Before {
    int64_t timestamp_ns = 0;
    uint64_t cpu_ns = 0;
  };
  using Readings = std::map<std::string, Before>;  // by what was looked at
  std::map<Depth, Readings> before_;               // looks of several depths go on at once
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// The machine's own, out of /proc: memory, processors, processes. Blocking, short.
void read_machine_usage(MachineSample& sample);

}  // namespace knarr::agent
