#include "agent/pod_groups.h"

#include "agent/pod_resources.h"
#include "api/quantity.h"
#include "base/log.h"

namespace knarr::agent {

namespace {

int64_t milli_cpu(const json::Value& list) {
  return api::quantity_or_zero(list["cpu"].as_string()).milli_value();
}

}  // namespace

GroupResources group_resources(const json::Value& allocatable, const std::vector<PodRef>& pods) {
  int64_t burstable_milli = 0;
  for (const PodRef& pod : pods) {
    if (qos_class(*pod) == "Burstable") burstable_milli += milli_cpu(pod_requests(*pod));
  }
  GroupResources groups;
  groups[""].cpu_shares = cpu_shares(milli_cpu(allocatable));
  groups[""].memory_limit_bytes = api::quantity_or_zero(allocatable["memory"].as_string()).value();
  groups["burstable"].cpu_shares = cpu_shares(burstable_milli);
  groups["besteffort"].cpu_shares = cpu_shares(0);
  return groups;
}

PodGroups::~PodGroups() { *alive_ = false; }

void PodGroups::set_pods(const std::vector<PodRef>& pods) {
  wanted_ = group_resources(node_.allocatable, pods);
  if (!busy_) next();
}

// One group at a time.
void PodGroups::next() {
  for (const auto& [name, resources] : wanted_) {
    auto it = written_.find(name);
    if (it != written_.end() && it->second == resources) continue;
    busy_ = true;
    written_[name] = resources;
    runtime_.update_group(name, resources,
                          [this, alive = std::weak_ptr<bool>(alive_)](const Result<void>& result) {
                            if (alive.expired()) return;
                            if (!result.ok()) {
                              base::log(base::Level::kWarning, "agent", "cgroups of pods: {}",
                                        result.error().message);
                            }
                            next();
                          });
    return;
  }
  busy_ = false;
}

}  // namespace knarr::agent
