// Files of our own stores: written whole or not at all, trees measured and removed. Blocks; any
// thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "knarr/result.h"

namespace knarr::runtime {

// kNotFound when absent; kRequestEntityTooLarge past the limit.
Result<std::string> read_file(const std::string& path, int64_t limit_bytes);

// Beside, then renamed. `durable`: survives a power cut once this returns.
Result<void> write_file(const std::string& path, std::string_view bytes, bool durable);

Result<void> write_all(int fd, std::string_view bytes, const std::string& what);
Result<void> make_directories(const std::string& path, unsigned mode = 0700);
std::vector<std::string> names_in(const std::string& directory);
// Owner, mode and times of one directory, given to another.
Result<void> copy_directory_attributes(const std::string& from, const std::string& to);
Result<void> sync_directory(const std::string& path);
// Everything written to the file system that holds the path.
Result<void> sync_file_system(const std::string& path);

// Removes what is there, whatever its depth, following no link. What is absent is removed.
Result<void> remove_tree(const std::string& path);
// The same for an entry of an open directory.
Result<void> remove_tree_at(int directory_fd, const std::string& name);

// Adds the blocks and inodes below the path, itself included; a file with several names counts
// once.
void add_tree_usage(const std::string& path, uint64_t& bytes, uint64_t& inodes);

}  // namespace knarr::runtime
