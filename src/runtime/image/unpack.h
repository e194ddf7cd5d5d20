// A layer's tar, applied to a directory that holds the layers below it (mounted as an overlay, or
// copied): files are added and replaced, whiteouts delete. The archive is outside bytes: no entry
// reaches anything outside the directory, through "..", absolute names, symbolic links or hard
// links.
//
// OCI image spec, "Image Layer Filesystem Changeset". Blocks; any thread.
#pragma once

#include <string>
#include <vector>

#include "knarr/result.h"
#include "runtime/image/byte_source.h"

namespace knarr::runtime {

// The path's parts, "." gone and ".." resolved against the root it can't leave.
std::vector<std::string> path_parts(std::string_view path);

// `tar` is uncompressed. Owners, modes, times, extended attributes and devices are made as they
// stand in the archive, so this needs root for archives of other owners.
Result<void> unpack_tar(ByteSource& tar, int root_fd);

}  // namespace knarr::runtime
