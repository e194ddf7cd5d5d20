// The images of one node: content, unpacked layers, and one record an image, under one root:
//
//   content/blobs/sha256/<hex>   verified blobs       content/ingest/<hex>   downloads in progress
//   layers/<name>                unpacked layers      images.json            the records
//
// A record is written (atomically, with fsync) only when everything it names is on disk, so a power
// cut leaves an image whole or absent. What no record, snapshot or running pull names is collected.
//
// All calls and callbacks on the loop thread; work happens on threads of its own.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "knarr/runtime.h"
#include "runtime/image/content.h"
#include "runtime/image/image.h"
#include "runtime/image/layers.h"
#include "runtime/image/work_pool.h"

namespace knarr::runtime {

class ImageStore {
 public:
  ImageStore(base::Loop& loop, std::string root, int max_threads = 2);

  // Makes the folders, learns how layers can be mounted, reads the records, sweeps away what a
  // crash left. Once, before anything else.
  void open(Callback<void> done);

  // A reference in any of its spellings, a tag or digest of the image, its id, or the id's hex
  // digits (at least 12). nullptr when absent.
  ImageRef find(std::string_view ref_or_id) const;
  std::vector<ImageRef> list() const;  // by id

  // Every image of a docker-archive (docker save) or OCI layout tar; plain, gzip or zstd. Layers
  // are unpacked when it answers.
  void import(std::string archive_path, Callback<std::vector<ImageRef>> done);

  // The image with all its tags. Containers that use it keep its layers. kNotFound when absent.
  void remove(std::string_view ref_or_id, Callback<void> done);

  // Bytes and inodes of content and layers.
  void usage(Callback<FilesystemUsage> done);

  // Registers an image whose blobs and layers are on disk, and moves its names to it.
  void add(Image image, Callback<ImageRef> done);
  // Removes blobs and layers nothing names any more.
  void collect(Callback<void> done);

  // Keeps an image's layers from being collected until released. For snapshots.
  void hold(const std::string& holder, std::vector<std::string> chain_ids);
  void release(const std::string& holder);

  WorkPool& pool() { return pool_; }
  ContentStore& content() { return content_; }
  LayerStore& layers() { return layers_; }
  const std::string& root() const { return root_; }

 private:
  using Index = std::map<std::string, ImageRef, std::less<>>;  // by id
  struct Change {
    std::function<Result<void>(Index&)> apply;
    Callback<void> done;
  };

  void change(std::function<Result<void>(Index&)> apply, Callback<void> done);
  void next_change();
  void run_collect();

  std::string root_;
  ContentStore content_;
  LayerStore layers_;
  Index index_;
  std::map<std::string, std::vector<std::string>> holds_;
  std::deque<Change> changes_;  // an empty `apply` is a collection
  bool changing_ = false;
  WorkPool pool_;  // last: its threads use what stands above
};

}  // namespace knarr::runtime
