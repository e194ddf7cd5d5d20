#include "agent/volumes/atomic_writer.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <set>

#include "base/file.h"
#include "base/format.h"
#include "base/time.h"

namespace knarr::agent {

namespace {

constexpr char kDataLink[] = "..data";

std::string folder_name(int64_t now_us) {
  std::string name = ".." + base::format_nano_time(now_us * 1000);
  for (char& c : name) {
    if (c == '-' || c == ':' || c == 'T') c = '_';
  }
  name.pop_back();  // the Z
  return name;
}

std::string link_target(const std::string& path) {
  char target[4096];
  ssize_t n = readlink(path.c_str(), target, sizeof target);
  return n < 0 ? std::string() : std::string(target, static_cast<size_t>(n));
}

bool up_to_date(const std::string& folder, const Payload& payload) {
  std::string current = link_target(folder + "/" + kDataLink);
  if (current.empty()) return false;
  std::string root = folder + "/" + current;
  std::error_code error;
  size_t files = 0;
  for (auto it = std::filesystem::recursive_directory_iterator(root, error);
       !error && it != std::filesystem::recursive_directory_iterator(); it.increment(error)) {
    if (!it->is_directory(error)) files++;
  }
  if (error || files != payload.size()) return false;
  for (const auto& [path, file] : payload) {
    auto content = base::read_file(root + "/" + path);
    if (!content.ok() || *content != file.content) return false;
  }
  return true;
}

Result<void> make_link(const std::string& target, const std::string& path) {
  std::string temporary = path + "_tmp";
  unlink(temporary.c_str());
  if (symlink(target.c_str(), temporary.c_str()) != 0) {
    return errno_error(errno, "symlink " + temporary);
  }
  if (rename(temporary.c_str(), path.c_str()) != 0)
    return errno_error(errno, "rename " + temporary);
  return {};
}

Result<void> write_one(const std::string& root, const std::string& path, const PayloadFile& file,
                       const Ownership& owner) {
  for (size_t slash = path.find('/'); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    std::string parent = root + "/" + path.substr(0, slash);
    TRY(base::make_dirs(parent));
    TRY(give_to_group(parent, owner));
  }
  std::string full = root + "/" + path;
  TRY(base::write_file(full, file.content, file.mode, base::Durability::kPlain));
  if (file.user >= 0 &&
      chown(full.c_str(), static_cast<uid_t>(file.user), static_cast<gid_t>(-1)) != 0) {
    return errno_error(errno, "chown " + full);
  }
  return give_to_group(full, owner);
}

// Top-level names: a link for each, and no link to what is gone.
Result<void> link_names(const std::string& folder, const Payload& payload) {
  std::set<std::string> names;
  for (const auto& [path, file] : payload) names.insert(path.substr(0, path.find('/')));
  for (const std::string& name : names) {
    std::string target = std::string(kDataLink) + "/" + name;
    if (link_target(folder + "/" + name) != target) {
      TRY(make_link(target, folder + "/" + name));
    }
  }
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    std::string name = entry.path().filename();
    if (name.substr(0, 2) != ".." && entry.is_symlink(error) && names.count(name) == 0) {
      unlink(entry.path().c_str());
    }
  }
  return {};
}

}  // namespace

Result<void> write_payload(const std::string& folder, const Payload& payload,
                           const Ownership& owner, int64_t now_us) {
  if (up_to_date(folder, payload)) return {};
  std::string data_link = folder + "/" + kDataLink;
  std::string old = link_target(data_link);
  std::string name = folder_name(now_us);
  std::string root = folder + "/" + name;
  TRY(base::make_dirs(root));
  TRY(give_to_group(root, owner));
  for (const auto& [path, file] : payload) TRY(write_one(root, path, file, owner));
  TRY(make_link(name, data_link));
  TRY(link_names(folder, payload));
  std::error_code error;
  if (!old.empty() && old != name) std::filesystem::remove_all(folder + "/" + old, error);
  return {};
}

}  // namespace knarr::agent
