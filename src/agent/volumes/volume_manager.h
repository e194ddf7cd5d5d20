// The volumes of all pods of the node: the agent's PodVolumes. A volume's folder is
// <pods_dir>/<uid>/volumes/<name>; binds of subPaths are
// <pods_dir>/<uid>/subpaths/<container>/<index>.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/services.h"
#include "agent/volumes/volume.h"

namespace knarr::agent {

class VolumeManager final : public PodVolumes {
 public:
  VolumeManager(std::string pods_dir, const NodeFacts& node, client::Client& client, Clock& clock,
                Offload& offload);
  ~VolumeManager() override;

  void set_up(const PodRef& pod, Callback<void> done) override;
  void mounts(const PodRef& pod, const ContainerSpec& container, const Variables& environment,
              Callback<std::vector<runtime::Mount>> done) override;
  void update(const PodRef& pod) override;
  void tear_down(const std::string& pod_uid, Callback<void> done) override;
  void keep_only(const std::vector<std::string>& pod_uids) override;
  // Where a volume of the pod is on the node; empty while it is not set up.
  std::string path_of(const std::string& pod_uid, std::string_view volume) const;

 private:
  struct Entry {
    std::string name;
    std::unique_ptr<Volume> volume;
    bool ready = false;
  };
  struct Set {
    std::vector<Entry> volumes;
    size_t waiting = 0;
    Result<void> result;
    Callback<void> done;
  };

  void one_ready(const std::string& uid, const std::string& name, const Result<void>& result);
  std::string folder(const std::string& uid) const { return pods_dir_ + "/" + uid; }
  // A mount, and what of the volume it shows: empty for the whole of it.
  struct Wanted {
    runtime::Mount mount;
    std::string sub_path;
  };
  Result<std::vector<Wanted>> wanted_mounts(const PodRef& pod, const ContainerSpec& container,
                                            const Variables& environment) const;

  std::string pods_dir_;
  const NodeFacts& node_;
  client::Client& client_;
  Clock& clock_;
  Offload& offload_;
  std::map<std::string, std::unique_ptr<Set>> sets_;  // by pod uid
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace knarr::agent
