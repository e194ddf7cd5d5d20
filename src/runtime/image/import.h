// Archives of images: docker-archive (docker save) and OCI layout, in one pass over the tar: what
// is small stays in memory, what is big goes to the content store as it comes. Blocks; any thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "knarr/result.h"
#include "runtime/image/content.h"
#include "runtime/image/image.h"
#include "runtime/image/layers.h"
#include "runtime/image/manifest.h"

namespace knarr::runtime {

// Images with their blobs and layers on disk, and the leases that keep those there until the images
// are registered.
struct ImportedImages {
  std::vector<Image> images;
  std::shared_ptr<LeaseSet> leases;
};

Result<ImportedImages> import_archive(const std::string& archive_path, ContentStore& content,
                                      LayerStore& layers, const Platform& platform);

}  // namespace knarr::runtime
