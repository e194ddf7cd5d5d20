#include "agent/local_storage.h"

#include <algorithm>

#include "agent/volumes/local_folder.h"
#include "base/file.h"
#include "base/log.h"
#include "knarr/names.h"

namespace knarr::agent {

namespace {

using json::Value;

constexpr int64_t kFirstRetryMs = 1000;
constexpr int64_t kMostRetryMs = 5 * 60 * 1000;
// Its directories are everybody's; who else is on the machine need not see their names.
constexpr mode_t kRootMode = 0701;

// The directory may go: the volume is being deleted, is not to be kept, and nobody uses it.
bool may_go(const Value& volume) {
  const Value& meta = volume["metadata"];
  if (meta["deletionTimestamp"].is_null()) return false;
  if (volume["spec"]["persistentVolumeReclaimPolicy"].as_string() != "Delete") return false;
  bool ours = false, held = false;
  for (const Value& finalizer : meta["finalizers"].elements()) {
    ours |= finalizer.as_string() == kLocalStorageFinalizer;
    held |= finalizer.as_string() == "kubernetes.io/pv-protection";
  }
  return ours && !held;
}

}  // namespace

LocalStorage::LocalStorage(Deps deps, std::string node, std::string root)
    : deps_(deps),
      node_(std::move(node)),
      root_(std::move(root)),
      recorder_(deps_.client, deps_.clock, kLocalProvisioner, node_),
      retry_(deps_.clock.timer([this] { try_again(); })) {}

LocalStorage::~LocalStorage() { *alive_ = false; }

void LocalStorage::start() {
  if (auto made = base::make_dirs(root_, kRootMode); !made.ok()) {
    base::log(base::Level::kError, "agent", "local volumes: {}", made.error().message);
  }
  watch_ = deps_.client.watch(
      {"", "v1", "persistentvolumes", "", std::string(kLocalStorageNodeLabel) + "=" + node_, ""},
      *this);
}

void LocalStorage::on_upsert(const ObjectRef& object) {
  auto volume = json::parse(object->json);
  if (!volume.ok() || !may_go(*volume) || !is_local_folder(*volume, node_)) return;
  const std::string& name = object->name.name;
  Removal& removal = removals_[name];
  removal.volume = *std::move(volume);
  if (!removal.busy) remove(name);
}

void LocalStorage::on_delete(const ObjectRef& last) { removals_.erase(last->name.name); }

void LocalStorage::remove(const std::string& name) {
  Removal& removal = removals_[name];
  removal.busy = true;
  auto entry = local_folder_name(removal.volume, root_);
  if (!entry.ok()) return removed(name, entry.error());
  auto work = [root = root_, entry = *entry] { return remove_local_folder(root, entry); };
  deps_.offload.run("local-storage", work,
                    [this, name, alive = std::weak_ptr<bool>(alive_)](const Result<void>& result) {
                      if (!alive.expired()) removed(name, result);
                    });
}

void LocalStorage::removed(const std::string& name, const Result<void>& result) {
  auto it = removals_.find(name);
  if (it == removals_.end()) return;
  if (result.ok()) return release(name);
  it->second.busy = false;
  const std::string& why = result.error().message;
  base::log(base::Level::kWarning, "agent", "volume {}: {}", name, why);
  recorder_.record(it->second.volume, api::EventType::kWarning, "VolumeFailedDelete", why);
  retry_ms_ = std::clamp(retry_ms_ * 2, kFirstRetryMs, kMostRetryMs);
  retry_->start(retry_ms_);
}

// A version that is not the newest is refused: the watch brings the newest.
void LocalStorage::release(const std::string& name) {
  const Value& meta = removals_[name].volume["metadata"];
  Value rest = Value::array();
  for (const Value& finalizer : meta["finalizers"].elements()) {
    if (finalizer.as_string() != kLocalStorageFinalizer) rest.push_back(finalizer);
  }
  Value patch =
      Value::object({{"metadata", Value::object({{"uid", meta["uid"]},
                                                 {"resourceVersion", meta["resourceVersion"]},
                                                 {"finalizers", std::move(rest)}})}});
  client::Request request;
  request.verb = client::Verb::kPatch;
  request.patch_type = client::PatchType::kMerge;
  request.target = {"", "v1", "persistentvolumes", "", name, ""};
  request.body = json::write(patch);
  deps_.client.call(std::move(request), [this, name, alive = std::weak_ptr<bool>(alive_)](
                                            const Result<ObjectRef>& reply) {
    if (alive.expired()) return;
    if (reply.ok() || reply.error().code == Code::kNotFound) {
      removals_.erase(name);
      retry_ms_ = 0;
    } else if (reply.error().code == Code::kConflict) {
      removals_[name].busy = false;
      retry_->start(kFirstRetryMs);
    } else {
      removed(name, reply.error());
    }
  });
}

void LocalStorage::try_again() {
  std::vector<std::string> names;
  for (const auto& [name, removal] : removals_) {
    if (!removal.busy) names.push_back(name);
  }
  for (const std::string& name : names) remove(name);
}

}  // namespace knarr::agent
