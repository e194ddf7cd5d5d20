// One volume of one pod. A volume type is a file in this folder and a row in volume_types.cc.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "agent/downward.h"
#include "agent/offload.h"
#include "agent/services.h"
#include "agent/volumes/atomic_writer.h"
#include "knarr/client.h"

namespace knarr::agent {

struct VolumeContext {
  PodRef pod;  // the newest
  std::string name;
  std::string folder;  // the volume's own, below the pod's; made by the volume, if it has one
  const NodeFacts* node = nullptr;
  client::Client* client = nullptr;
  Clock* clock = nullptr;
  Offload* offload = nullptr;

  // Elsewhere, after what was begun before for this pod.
  void run(Offload::Work work, Callback<void> done) const {
    offload->run(pod->uid(), std::move(work), std::move(done));
  }

  const json::Value& spec() const;  // the entry of spec.volumes
  Ownership ownership(bool read_only) const;
};

class Volume {
 public:
  virtual ~Volume() = default;
  // Makes it, or finds it made. May be called again after an error. The error comes without the
  // name of the volume, which the manager adds.
  virtual void set_up(Callback<void> done) = 0;
  // What a container's mount of the whole volume shows; after set_up.
  virtual std::string path() const = 0;
  virtual bool read_only() const { return false; }
  // The pod's object changed.
  virtual void update(const PodRef&) {}
};

// Null for a type that this node cannot serve.
std::unique_ptr<Volume> make_volume(VolumeContext context);

// The factories, a file each.
std::unique_ptr<Volume> make_empty_dir(VolumeContext context);
std::unique_ptr<Volume> make_host_path(VolumeContext context);
std::unique_ptr<Volume> make_projected(VolumeContext context);
std::unique_ptr<Volume> make_claim(VolumeContext context);

// Checks, and where `type` says so makes, what a hostPath names.
Result<void> check_host_path(const std::string& path, const std::string& type);

}  // namespace knarr::agent
