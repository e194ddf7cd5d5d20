// Root file systems of containers: an overlay of an image's shared layers and one writable
// directory a container. What a snapshot is stands in <root>/snapshots/<id>/plan.json, so that
// everything can be mounted again after a reboot.
//
// Where the kernel can't put an overlay on the data directory's file system (the directory is
// itself on an overlay, say), a snapshot is a full copy: slower to make, and its space is not
// shared.
//
// SnapshotStore is used on the loop thread, and ends before its ImageStore. mount_snapshot is for
// whoever builds the container's mount namespace.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "runtime/image/image_store.h"

namespace knarr::runtime {

struct MountPlan {
  std::string id;
  std::string image_id;
  bool copied = false;             // `upper` is the whole root file system; nothing below it
  std::string layers_dir;          // absolute; where the names in `lower` are
  std::vector<std::string> lower;  // topmost first
  std::vector<std::string> chain_ids;
  std::string upper;  // absolute
  std::string work;   // absolute; empty when copied

  // Of the image's nth volume: empty until the container's first and only start.
  std::string volume_folder(size_t n) const;

  json::Value to_json() const;
  static Result<MountPlan> from_json(const json::Value& value);
};

// Mounts the root file system at an existing directory, in the caller's mount namespace. Blocks.
// Any thread. May start a short-lived thread when there are very many layers.
Result<void> mount_snapshot(const MountPlan& plan, const std::string& target, bool read_only);

struct SnapshotUsage {
  uint64_t used_bytes = 0;
  uint64_t inodes_used = 0;
};

class SnapshotStore {
 public:
  explicit SnapshotStore(ImageStore& images);
  ~SnapshotStore();

  // After ImageStore::open. Reads what exists, holds its layers. Once.
  void open(Callback<void> done);

  // Idempotent for one id and image, but not twice at once. kNotFound when the image is absent.
  // Unpacks layers that are missing. `id` is a single path component. What needs no work is
  // answered before the call returns.
  void prepare(const std::string& id, const std::string& image_id, Callback<MountPlan> done);
  // The rootfs must be unmounted. Idempotent.
  void remove(const std::string& id, Callback<void> done);

  const MountPlan* find(const std::string& id) const;
  std::vector<std::string> list() const;
  // Of the writable layer.
  void usage(const std::string& id, Callback<SnapshotUsage> done);

 private:
  ImageStore& images_;
  std::string root_;
  std::map<std::string, MountPlan> plans_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // late answers look at it
};

}  // namespace knarr::runtime
