#include "agent/local_storage.h"

#include <algorithm>
#include <utility>

#include "agent/volumes/local_folder.h"
#include "agent/volumes/local_root.h"
#include "base/log.h"
#include "base/random.h"
#include "knarr/names.h"

namespace knarr::agent {

namespace {

using json::Value;

constexpr int64_t kFirstRetryMs = 1000;
constexpr int64_t kMostRetryMs = 5 * 60 * 1000;

// The directory may go: the volume is being deleted, is not to be kept, and nobody uses it.
bool may_go(const Value& volume) {
  const Value& meta = volume["metadata"];
  if (meta["deletionTimestamp"].is_null()) return false;
  if (volume["status"]["phase"].as_string() == "Bound") return false;
  if (volume["spec"]["persistentVolumeReclaimPolicy"].as_string() != "Delete") return false;
  bool ours = false, held = false;
  for (const Value& finalizer : meta["finalizers"].elements()) {
    ours |= finalizer.as_string() == kLocalStorageFinalizer;
    held |= finalizer.as_string() == "kubernetes.io/pv-protection";
  }
  return ours && !held;
}

}  // namespace

LocalStorage::LocalStorage(Deps deps, std::string node, std::string root, std::string note_path)
    : deps_(deps),
      node_(std::move(node)),
      root_(std::move(root)),
      note_path_(std::move(note_path)),
      recorder_(deps_.client, deps_.clock, kLocalProvisioner, node_),
      retry_(deps_.clock.timer([this] { try_again(); })) {}

LocalStorage::~LocalStorage() { *alive_ = false; }

void LocalStorage::start() {
  auto work = [root = root_, note = note_path_] {
    base::SystemRandom random;
    return use_local_root(note, root, random);
  };
  deps_.offload.run("local-storage", work, [](const Result<void>& used) {
    if (used.ok()) return;
    base::log(base::Level::kError, "agent", "local volumes: {}", used.error().message);
  });
  watch_ = deps_.client.watch(
      {"", "v1", "persistentvolumes", "", std::string(kLocalStorageNodeLabel) + "=" + node_, ""},
      *this);
}

void LocalStorage::on_upsert(const ObjectRef& object) {
  auto volume = json::parse(object->json);
  const std::string& name = object->name.name;
  if (!volume.ok() || !may_go(*volume) || !is_local_folder(*volume, node_)) {
    removals_.erase(name);
    return;
  }
  Removal& removal = removals_[name];
  removal.volume = *std::move(volume);
  if (!removal.busy) remove(name);
}

void LocalStorage::on_delete(const ObjectRef& last) { removals_.erase(last->name.name); }

void LocalStorage::remove(const std::string& name) {
  Removal& removal = removals_[name];
  auto entry = local_folder_name(removal.volume, root_);
  // A retry changes nothing about that: the volume does, or the next start.
  if (!entry.ok()) return failed(name, entry.error());
  removal.busy = true;
  client::Request request = release_request(name);
  request.query = "dryRun=All";
  deps_.client.call(std::move(request),
                    [this, name, entry = *entry,
                     alive = std::weak_ptr<bool>(alive_)](const Result<ObjectRef>& reply) {
                      if (alive.expired() || removals_.count(name) == 0) return;
                      if (reply.ok()) return confirmed(name, entry);
                      if (reply.error().code == Code::kNotFound) {
                        removals_.erase(name);
                      } else {
                        again_later(name);
                      }
                    });
}

void LocalStorage::confirmed(const std::string& name, const std::string& entry) {
  auto work = [root = root_, note = note_path_, entry]() -> Result<void> {
    TRY(check_local_root(note, root));
    return remove_local_folder(root, entry);
  };
  deps_.offload.run("local-storage", work,
                    [this, name, alive = std::weak_ptr<bool>(alive_)](const Result<void>& result) {
                      if (!alive.expired()) removed(name, result);
                    });
}

void LocalStorage::removed(const std::string& name, const Result<void>& result) {
  auto it = removals_.find(name);
  if (it == removals_.end()) return;
  if (result.ok()) return release(name);
  failed(name, result.error());
  again_later(name);
}

void LocalStorage::failed(const std::string& name, const Error& error) {
  base::log(base::Level::kWarning, "agent", "volume {}: {}", name, error.message);
  recorder_.record(removals_[name].volume, api::EventType::kWarning, "VolumeFailedDelete",
                   error.message);
}

void LocalStorage::again_later(const std::string& name) {
  auto it = removals_.find(name);
  if (it == removals_.end()) return;
  it->second.busy = false;
  it->second.again = true;
  if (!retry_->active()) retry_->start(std::max(retry_ms_, kFirstRetryMs));
}

// A version that is not the newest is refused: the watch brings the newest.
client::Request LocalStorage::release_request(const std::string& name) {
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
  return request;
}

void LocalStorage::release(const std::string& name) {
  deps_.client.call(release_request(name), [this, name, alive = std::weak_ptr<bool>(alive_)](
                                               const Result<ObjectRef>& reply) {
    if (alive.expired() || removals_.count(name) == 0) return;
    if (reply.ok() || reply.error().code == Code::kNotFound) {
      removals_.erase(name);
      retry_ms_ = 0;
    } else {
      again_later(name);
    }
  });
}

void LocalStorage::try_again() {
  std::vector<std::string> names;
  retry_ms_ = std::clamp(retry_ms_ * 2, kFirstRetryMs, kMostRetryMs);
  for (auto& [name, removal] : removals_) {
    if (!removal.busy && std::exchange(removal.again, false)) names.push_back(name);
  }
  for (const std::string& name : names) remove(name);
}

}  // namespace knarr::agent
