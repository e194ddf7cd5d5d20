#include "server/scheduler/volume_binder.h"

#include <algorithm>

#include "api/view/meta.h"
#include "api/view/volume.h"

namespace knarr::server {

namespace {

constexpr int64_t kBindLimitMs = 600 * 1000;

const GroupResource kClaimKey{"", "persistentvolumeclaims"};
const GroupResource kVolumeKey{"", "persistentvolumes"};

Error failed(const std::string& why) {
  return make_error(Code::kUnknown, "running PreBind plugin \"VolumeBinding\": " + why);
}

}  // namespace

VolumeBinder::VolumeBinder(Cache& cache, client::Client& client, Clock& clock, NodeTable& table)
    : cache_(cache),
      client_(client),
      clock_(clock),
      table_(table),
      timer_(clock.timer([this] { look(); })) {}

VolumeBinder::~VolumeBinder() = default;

void VolumeBinder::bind(const PodInfoRef& pod, const std::string& node, VolumePlan plan,
                        Done done) {
  const std::string& uid = pod->uid();
  Waiting& waiting = waiting_[uid];
  waiting = {plan, node, clock_.monotonic_ms() + kBindLimitMs, 1, std::move(done)};
  for (const auto& [volume, claim] : plan.bind) {
    table_.taken_volumes()[volume] = claim;
    reserve(uid, volume, claim);
  }
  for (const NamespacedName& claim : plan.provision) {
    json::Value notes = json::Value::object({{api::kSelectedNode, node}});
    json::Value patch = json::Value::object(
        {{"metadata", json::Value::object({{"annotations", std::move(notes)}})}});
    write(uid, {client::Verb::kPatch,
                {"", "v1", "persistentvolumeclaims", claim.ns, claim.name, ""},
                json::write(patch),
                client::PatchType::kMerge,
                {}});
  }
  if (auto it = waiting_.find(uid); it != waiting_.end()) --it->second.writes;
  timer_->start(0);
}

void VolumeBinder::reserve(const std::string& uid, const std::string& volume,
                           const NamespacedName& claim) {
  ObjectRef pv = cache_.get({kVolumeKey, {"", volume}});
  ObjectRef pvc = cache_.get({kClaimKey, claim});
  if (pv == nullptr || pvc == nullptr) return;  // look() will say so
  json::Value changed = api::decode(*pv);
  if (!api::refer_to_claim(changed, api::decode(*pvc))) return;
  write(uid, {client::Verb::kUpdate,
              {"", "v1", "persistentvolumes", "", volume, ""},
              json::write(changed),
              {},
              {}});
}

void VolumeBinder::write(const std::string& uid, client::Request request) {
  auto waiting = waiting_.find(uid);
  if (waiting == waiting_.end()) return;  // an earlier write failed
  ++waiting->second.writes;
  client_.call(std::move(request),
               [this, uid, alive = std::weak_ptr<int>(alive_)](Result<ObjectRef> answer) {
                 if (alive.expired()) return;
                 auto it = waiting_.find(uid);
                 if (it == waiting_.end()) return;
                 --it->second.writes;
                 if (!answer.ok()) {
                   return finish(uid, failed("binding volumes: " + answer.error().message));
                 }
                 if (it->second.writes == 0) timer_->start(0);
               });
}

Result<bool> VolumeBinder::bound(const Waiting& waiting) const {
  bool all = true;
  auto claim_bound = [&](const json::Value& claim) {
    all &= claim["metadata"]["annotations"].has(api::kBindCompleted) &&
           !claim["spec"]["volumeName"].as_string().empty();
  };
  for (const auto& [volume, name] : waiting.plan.bind) {
    ObjectRef pv = cache_.get({kVolumeKey, {"", volume}});
    ObjectRef pvc = cache_.get({kClaimKey, name});
    if (pv == nullptr)
      return failed("binding volumes: persistentvolume \"" + volume + "\" not found");
    if (pvc == nullptr) {
      return failed("binding volumes: persistentvolumeclaim \"" + name.name + "\" not found");
    }
    json::Value claim = api::decode(*pvc);
    if (!api::is_bound_to(api::decode(*pv), claim)) {
      return failed("binding volumes: volume \"" + volume + "\" is bound to another claim");
    }
    claim_bound(claim);
  }
  for (const NamespacedName& name : waiting.plan.provision) {
    ObjectRef pvc = cache_.get({kClaimKey, name});
    if (pvc == nullptr) {
      return failed("binding volumes: persistentvolumeclaim \"" + name.name + "\" not found");
    }
    json::Value claim = api::decode(*pvc);
    // How a provisioner says that it can't make the volume there.
    if (claim["metadata"]["annotations"][api::kSelectedNode].as_string() != waiting.node) {
      return failed("binding volumes: provisioning failed for PVC \"" + name.name + "\"");
    }
    claim_bound(claim);
  }
  return all;
}

void VolumeBinder::look() {
  std::vector<std::pair<std::string, Result<void>>> ended;
  for (const auto& [uid, waiting] : waiting_) {
    if (waiting.writes != 0) continue;
    Result<bool> ready = bound(waiting);
    if (!ready.ok()) {
      ended.emplace_back(uid, ready.error());
    } else if (*ready) {
      ended.emplace_back(uid, Result<void>());
    } else if (clock_.monotonic_ms() >= waiting.deadline_ms) {
      ended.emplace_back(uid, failed("binding volumes: context deadline exceeded"));
    }
  }
  for (auto& [uid, result] : ended) finish(uid, std::move(result));
  arm();
}

void VolumeBinder::arm() {
  int64_t due = INT64_MAX;
  for (const auto& [uid, waiting] : waiting_) {
    if (waiting.writes == 0) due = std::min(due, waiting.deadline_ms);
  }
  if (due == INT64_MAX) {
    timer_->stop();
  } else {
    timer_->start(std::max<int64_t>(0, due - clock_.monotonic_ms()));
  }
}

void VolumeBinder::finish(const std::string& uid, Result<void> result) {
  auto it = waiting_.find(uid);
  if (it == waiting_.end()) return;
  Waiting waiting = std::move(it->second);
  waiting_.erase(it);
  release(waiting.plan);
  waiting.done(std::move(result));
}

void VolumeBinder::forget(const std::string& uid) {
  auto it = waiting_.find(uid);
  if (it == waiting_.end()) return;
  release(it->second.plan);
  waiting_.erase(it);
}

void VolumeBinder::release(const VolumePlan& plan) {
  for (const auto& bound : plan.bind) {
    // Another pod that shares the claim may still count on it.
    bool shared = std::any_of(waiting_.begin(), waiting_.end(), [&](const auto& w) {
      const auto& others = w.second.plan.bind;
      return std::find(others.begin(), others.end(), bound) != others.end();
    });
    if (!shared) table_.taken_volumes().erase(bound.first);
  }
}

}  // namespace knarr::server
