// Whole files, small ones: read, write atomically, make folders. Blocking; for start-up, work
// threads and files of a few kilobytes.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "knarr/result.h"

namespace knarr::base {

Result<std::string> read_file(const std::string& path);

// The new content is there whole or not at all: written beside the file and renamed. kSynced: also
// after a power cut (the file and its folder are fsynced, which takes milliseconds).
enum class Durability { kSynced, kPlain };
Result<void> write_file(const std::string& path, std::string_view content, mode_t mode = 0644,
                        Durability durability = Durability::kSynced);

// Makes what was created or renamed at the path be there after a power cut: fsyncs its folder.
Result<void> sync_folder_of(const std::string& path);

// Every missing folder of the path. What exists keeps its mode.
Result<void> make_dirs(const std::string& path, mode_t mode = 0755);

bool file_exists(const std::string& path);

}  // namespace knarr::base
