// Directories of this node that are volumes: made for their first pod, removed when the volume is
// no more. All lie right in one folder, the root; nothing outside it is ever removed, whatever a
// volume says and whatever links are there. Blocking.
#pragma once

#include <string>

#include "base/json.h"
#include "knarr/result.h"

namespace knarr::agent {

// Whether the PersistentVolume is a directory that was provisioned on this node.
bool is_local_folder(const json::Value& volume, const std::string& node);

// The name in the root of the volume's directory; an error when it is elsewhere. Pure.
Result<std::string> local_folder_name(const json::Value& volume, const std::string& root);

// For everybody to use, as who uses it is not known. Its parent must exist: a disk that is not
// there is not made up for.
Result<void> make_local_folder(const std::string& path);

// The directory and all in it; what is absent is removed. An error while something is mounted
// there, or when the root is missing.
Result<void> remove_local_folder(const std::string& root, const std::string& name);

}  // namespace knarr::agent
