#include "agent/volumes/volume_manager.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "agent/environment.h"
#include "agent/volumes/mount_point.h"
#include "base/file.h"
#include "base/format.h"
#include "base/log.h"

namespace knarr::agent {

using json::Value;

namespace {

runtime::Mount::Propagation propagation_of(const Value& mount) {
  using Propagation = runtime::Mount::Propagation;
  std::string_view mode = mount["mountPropagation"].as_string();
  if (mode == "Bidirectional") return Propagation::kBidirectional;
  return mode == "HostToContainer" ? Propagation::kHostToContainer : Propagation::kPrivate;
}

bool climbs(const std::string& path) {
  return path == ".." || path.rfind("../", 0) == 0 || path.find("/../") != std::string::npos ||
         (path.size() > 3 && path.substr(path.size() - 3) == "/..");
}

// What the subPath names is bound to a place of ours first: nothing that the container does to its
// volume later can lead the mount elsewhere.
Result<std::string> bind_sub_path(const std::string& volume, const std::string& path,
                                  const std::string& parent, size_t index) {
  auto found = open_inside(volume, path, false);
  if (!found.ok()) {
    TRY_ASSIGN(base::UniqueFd made, open_inside(volume, path, true));
    found = std::move(made);
  }
  struct stat st;
  if (fstat(found->get(), &st) != 0) return errno_error(errno, "stat subPath " + path);
  std::string at = fmt::format("{}/{}", parent, index);
  TRY(base::make_dirs(parent, 0750));
  TRY(unmount_below(at));
  if (S_ISDIR(st.st_mode)) {
    TRY(base::make_dirs(at));
  } else {
    TRY(base::write_file(at, "", 0644, base::Durability::kPlain));
  }
  TRY(bind_mount(fmt::format("/proc/self/fd/{}", found->get()), at));
  return at;
}

Result<void> remove_tree(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) return make_error(Code::kInternalError, "remove " + path + ": " + error.message());
  return {};
}

Result<void> remove_volumes(const std::string& pod_folder) {
  for (const char* part : {"/subpaths", "/volumes"}) {
    TRY(unmount_below(pod_folder + part));
    TRY(remove_tree(pod_folder + part));
  }
  return {};
}

}  // namespace

VolumeManager::VolumeManager(std::string pods_dir, const NodeFacts& node, client::Client& client,
                             Clock& clock, Offload& offload)
    : pods_dir_(std::move(pods_dir)),
      node_(node),
      client_(client),
      clock_(clock),
      offload_(offload) {}

VolumeManager::~VolumeManager() { *alive_ = false; }

void VolumeManager::set_up(const PodRef& pod, Callback<void> done) {
  std::unique_ptr<Set>& set = sets_[pod->uid()];
  if (!set) {
    set = std::make_unique<Set>();
    for (const Value& v : pod->spec()["volumes"].elements()) {
      VolumeContext context{
          pod,      v["name"].text(), folder(pod->uid()) + "/volumes/" + v["name"].text(),
          &node_,   &client_,         &clock_,
          &offload_};
      set->volumes.push_back({context.name, make_volume(context), false});
    }
  }
  set->result = {};
  set->done = std::move(done);
  set->waiting = 1;  // this function itself
  std::weak_ptr<bool> alive = alive_;
  for (Entry& entry : set->volumes) {
    if (entry.ready) continue;
    set->waiting++;
    std::string uid = pod->uid(), name = entry.name;
    auto ready = [this, alive, uid, name](const Result<void>& result) {
      if (!alive.expired()) one_ready(uid, name, result);
    };
    if (entry.volume == nullptr) {
      ready(make_error(Code::kInvalid, "no volume plugin matched"));
    } else {
      entry.volume->set_up(ready);
    }
  }
  one_ready(pod->uid(), "", {});
}

void VolumeManager::one_ready(const std::string& uid, const std::string& name,
                              const Result<void>& result) {
  auto it = sets_.find(uid);
  if (it == sets_.end()) return;
  Set& set = *it->second;
  for (Entry& entry : set.volumes) {
    if (entry.name == name) entry.ready = result.ok();
  }
  if (!result.ok() && set.result.ok()) {
    set.result = make_error(result.error().code,
                            fmt::format("MountVolume.SetUp failed for volume \"{}\" : {}", name,
                                        result.error().message));
  }
  if (set.waiting == 0 || --set.waiting > 0 || !set.done) return;
  auto done = std::exchange(set.done, nullptr);
  done(set.result);
}

void VolumeManager::update(const PodRef& pod) {
  auto it = sets_.find(pod->uid());
  if (it == sets_.end()) return;
  for (Entry& entry : it->second->volumes) {
    if (entry.volume) entry.volume->update(pod);
  }
}

Result<std::vector<VolumeManager::Wanted>> VolumeManager::wanted_mounts(
    const PodRef& pod, const ContainerSpec& container, const Variables& environment) const {
  std::vector<Wanted> wanted;
  auto set = sets_.find(pod->uid());
  for (const Value& m : (*container.spec)["volumeMounts"].elements()) {
    const Volume* volume = nullptr;
    if (set != sets_.end()) {
      for (const Entry& entry : set->second->volumes) {
        if (entry.name == m["name"].as_string() && entry.ready) volume = entry.volume.get();
      }
    }
    if (volume == nullptr) {
      return make_error(Code::kInvalid, fmt::format("cannot find volume \"{}\" to mount into "
                                                    "container \"{}\"",
                                                    m["name"].as_string(), container.name));
    }
    std::string path = m["subPath"].text();
    if (std::string_view expression = m["subPathExpr"].as_string(); !expression.empty()) {
      std::map<std::string, std::string> values(environment.begin(), environment.end());
      path = expand(expression, values);
    }
    if (!path.empty() && (path[0] == '/' || climbs(path))) {
      return make_error(Code::kInvalid,
                        "subPath \"" + path + "\" must be a path inside the volume");
    }
    wanted.push_back(
        {{volume->path(), m["mountPath"].text(), m["readOnly"].as_bool() || volume->read_only(),
          propagation_of(m), m["recursiveReadOnly"].as_string("Disabled") != "Disabled"},
         path});
  }
  return wanted;
}

void VolumeManager::mounts(const PodRef& pod, const ContainerSpec& container,
                           const Variables& environment,
                           Callback<std::vector<runtime::Mount>> done) {
  auto wanted = wanted_mounts(pod, container, environment);
  if (!wanted.ok()) return done(wanted.error());
  auto mounts = std::make_shared<std::vector<runtime::Mount>>();
  std::vector<std::string> sub_paths;
  for (Wanted& w : *wanted) {
    mounts->push_back(std::move(w.mount));
    sub_paths.push_back(std::move(w.sub_path));
  }
  if (std::all_of(sub_paths.begin(), sub_paths.end(), [](const auto& p) { return p.empty(); })) {
    return done(std::move(*mounts));
  }
  std::string parent = folder(pod->uid()) + "/subpaths/" + container.name;
  auto work = [mounts, sub_paths, parent]() -> Result<void> {
    for (size_t i = 0; i < mounts->size(); i++) {
      if (sub_paths[i].empty()) continue;
      std::string& host_path = (*mounts)[i].host_path;
      TRY_ASSIGN(host_path, bind_sub_path(host_path, sub_paths[i], parent, i));
    }
    return {};
  };
  offload_.run(pod->uid(), work, [mounts, done = std::move(done)](const Result<void>& result) {
    if (!result.ok()) return done(result.error());
    done(std::move(*mounts));
  });
}

std::string VolumeManager::path_of(const std::string& pod_uid, std::string_view volume) const {
  auto set = sets_.find(pod_uid);
  if (set == sets_.end()) return {};
  for (const Entry& entry : set->second->volumes) {
    if (entry.name == volume && entry.ready) return entry.volume->path();
  }
  return {};
}

void VolumeManager::tear_down(const std::string& uid, Callback<void> done) {
  sets_.erase(uid);
  offload_.run(
      uid, [folder = folder(uid)] { return remove_volumes(folder); }, std::move(done));
}

void VolumeManager::keep_only(const std::vector<std::string>& uids) {
  // Who goes is settled now: a pod that comes later has its folder in the same place.
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(pods_dir_, error)) {
    std::string uid = entry.path().filename();
    if (std::find(uids.begin(), uids.end(), uid) != uids.end()) continue;
    auto work = [folder = folder(uid)]() -> Result<void> {
      TRY(remove_volumes(folder));
      return remove_tree(folder);
    };
    offload_.run(uid, work, [uid](const Result<void>& removed) {
      if (removed.ok()) return;
      base::log(base::Level::kWarning, "agent", "left-over pod {}: {}", uid,
                removed.error().message);
    });
  }
}

}  // namespace knarr::agent
