// Unpacked layers, shared by all images and containers, named by chain id. A layer directory exists
// only when it is complete and on disk: it is unpacked beside, synced, and renamed.
//
// Any thread; all of it blocks.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "knarr/result.h"
#include "runtime/image/content.h"
#include "runtime/image/image.h"

namespace knarr::runtime {

class LayerStore {
 public:
  LayerStore(std::string root, ContentStore& content) : root_(std::move(root)), content_(content) {}

  // Makes the directory, empties its trash, and tries whether overlays can be mounted on it.
  Result<void> open();
  // False: layers stay packed, and snapshots are copies.
  bool overlay() const { return overlay_; }

  const std::string& directory() const { return root_; }
  // 26 characters: a mount option has to hold many of them.
  static std::string name(std::string_view chain_id);
  std::string path(std::string_view chain_id) const { return root_ + "/" + name(chain_id); }
  bool has(std::string_view chain_id) const;

  // Unpacks layers[i] upon those below it, which must be there. Two callers with one layer: the
  // second waits. Nothing to do when there is no overlay.
  Result<void> unpack(const std::vector<ImageLayer>& layers, size_t i);
  // All layers into one directory: what a snapshot is when there is no overlay.
  Result<void> flatten(const std::vector<ImageLayer>& layers, const std::string& target);

  // Removes layers whose name() is not in `keep` and not leased.
  Result<void> collect(const std::set<std::string>& keep);
  void usage(uint64_t& bytes, uint64_t& inodes) const;

 private:
  Result<void> unpack_fresh(const std::vector<ImageLayer>& layers, size_t i);

  std::string root_;
  ContentStore& content_;
  bool overlay_ = false;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_: names being unpacked, and bytes and inodes of layers once measured.
  std::set<std::string> busy_;
  mutable std::map<std::string, std::pair<uint64_t, uint64_t>> measured_;
};

}  // namespace knarr::runtime
