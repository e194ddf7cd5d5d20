// One pull, from a reference to an image whose blobs and layers are on disk. Blocks its thread; its
// layers are downloaded by other threads, and unpacked here in order as they come.
#pragma once

#include <memory>
#include <vector>

#include "knarr/runtime.h"
#include "runtime/image/cancel.h"
#include "runtime/image/content.h"
#include "runtime/image/downloads.h"
#include "runtime/image/image.h"
#include "runtime/image/layers.h"
#include "runtime/image/manifest.h"
#include "runtime/image/reference.h"
#include "runtime/image/registries.h"
#include "runtime/image/work_pool.h"

namespace knarr::runtime {

struct PullJob {
  Reference reference;  // with a tag or a digest
  std::vector<RegistryAuth> auths;
  std::vector<Endpoint> endpoints;
  Platform platform;
  std::vector<ImageRef> present;  // when the pull began
  ContentStore& content;
  LayerStore& layers;
  Downloads& downloads;
  WorkPool& download_threads;
  std::shared_ptr<CancelToken> cancel;
  int attempts = 1;
  int backoff_ms = 0;
};

struct PulledImage {
  Image image;
  std::shared_ptr<LeaseSet> leases;  // keep what it names until it is registered
};

Result<PulledImage> run_pull(PullJob& job);

}  // namespace knarr::runtime
