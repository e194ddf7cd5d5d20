#include "runtime/image/layers.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>

#include "base/format.h"
#include "base/log.h"
#include "runtime/image/byte_source.h"
#include "runtime/image/files.h"
#include "runtime/image/mount.h"
#include "runtime/image/unpack.h"

namespace knarr::runtime {

namespace {

constexpr std::string_view kTemporary = "tmp-";
constexpr std::string_view kTrash = "trash-";

// Does the kernel make an overlay here, and do deletions in it become whiteouts?
Result<void> probe_overlay(const std::string& directory) {
  for (const char* part : {"lower", "upper", "work", "merged"}) {
    TRY(make_directories(directory + "/" + part));
  }
  TRY(write_file(directory + "/lower/file", "x", false));
  return in_private_mount_namespace([&]() -> Result<void> {
    OverlayMount overlay{directory, {"lower"}, directory + "/upper", directory + "/work"};
    TRY(mount_overlay(overlay, directory + "/merged"));
    if (unlink((directory + "/merged/file").c_str()) != 0) return errno_error(errno, "unlink");
    struct stat st;
    if (lstat((directory + "/upper/file").c_str(), &st) != 0 || !S_ISCHR(st.st_mode)) {
      return make_error(Code::kInvalid, "no whiteouts");
    }
    return {};
  });
}

// One layer of bytes into an open directory, its digest verified.
Result<void> apply_layer(ContentStore& content, const ImageLayer& layer, int root_fd) {
  std::string path = content.blob_path(layer.digest);
  base::UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return errno_error(errno, "open layer " + path);
  TRY_ASSIGN(std::unique_ptr<ByteSource> tar, decompressed(file_source(std::move(fd), path)));
  HashingSource hashing(*tar);
  TRY(unpack_tar(hashing, root_fd));
  TRY_ASSIGN(std::string digest, hashing.finish());
  if (digest != layer.diff_id) {
    return make_error(Code::kInvalid,
                      fmt::format("wrong diff id calculated on extraction \"{}\"", digest));
  }
  return {};
}

Result<base::UniqueFd> open_directory(const std::string& path) {
  base::UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid()) return errno_error(errno, "open " + path);
  return fd;
}

}  // namespace

Result<void> LayerStore::open() {
  TRY(make_directories(root_));
  for (const std::string& name : names_in(root_)) {
    if (name.starts_with(kTemporary) || name.starts_with(kTrash)) {
      TRY(remove_tree(root_ + "/" + name));
    }
  }
  std::string probe = root_ + "/" + std::string(kTemporary) + "probe";
  Result<void> probed = probe_overlay(probe);
  overlay_ = probed.ok();
  if (!overlay_) {
    base::log(base::Level::kWarning, "images",
              "no overlay on this file system, containers get full copies dir={} reason=\"{}\"",
              root_, probed.error().message);
  }
  return remove_tree(probe);
}

// 128 bits in base 32: letters and digits that need no escaping.
std::string LayerStore::name(std::string_view chain_id) {
  std::string_view hex = digest_hex(chain_id);
  std::string out;
  unsigned bits = 0;
  int have = 0;
  for (size_t i = 0; out.size() < 26; ++i) {
    char c = hex[i];
    bits = (bits << 4) | static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10);
    have += 4;
    if (have < 5) continue;
    have -= 5;
    out += "abcdefghijklmnopqrstuvwxyz234567"[(bits >> have) & 31];
  }
  return out;
}

bool LayerStore::has(std::string_view chain_id) const {
  struct stat st;
  return stat(path(chain_id).c_str(), &st) == 0;
}

Result<void> LayerStore::unpack(const std::vector<ImageLayer>& layers, size_t i) {
  if (!overlay_) return {};
  std::string own = name(layers[i].chain_id);
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return busy_.count(own) == 0; });
    if (has(layers[i].chain_id)) return {};
    busy_.insert(own);
  }
  Result<void> result = unpack_fresh(layers, i);
  std::lock_guard lock(mutex_);
  busy_.erase(own);
  changed_.notify_all();
  return result;
}

Result<void> LayerStore::unpack_fresh(const std::vector<ImageLayer>& layers, size_t i) {
  std::string target = path(layers[i].chain_id);
  std::string temporary = root_ + "/" + std::string(kTemporary) + name(layers[i].chain_id);
  TRY(remove_tree(temporary));
  TRY(make_directories(temporary + "/work"));
  TRY(make_directories(temporary + "/merged"));
  TRY(make_directories(temporary + "/fs", 0755));
  auto apply = [&](const std::string& directory) -> Result<void> {
    TRY_ASSIGN(base::UniqueFd fd, open_directory(directory));
    return apply_layer(content_, layers[i], fd.get());
  };
  Result<void> result;
  if (i == 0) {
    if (chmod((temporary + "/fs").c_str(), 0755) != 0) return errno_error(errno, "chmod");
    result = apply(temporary + "/fs");
  } else {
    // An upper layer's root directory hides that of the layers below: it begins as they have it.
    TRY(copy_directory_attributes(path(layers[i - 1].chain_id), temporary + "/fs"));
    OverlayMount overlay{root_, {}, temporary + "/fs", temporary + "/work"};
    for (size_t below = i; below-- > 0;) overlay.lower.push_back(name(layers[below].chain_id));
    result = in_private_mount_namespace([&]() -> Result<void> {
      TRY(mount_overlay(overlay, temporary + "/merged"));
      return apply(temporary + "/merged");
    });
  }
  if (result.ok()) result = sync_file_system(temporary);
  if (result.ok() && rename((temporary + "/fs").c_str(), target.c_str()) != 0) {
    result = errno_error(errno, "rename " + target);
  }
  Result<void> removed = remove_tree(temporary);
  TRY(result);
  TRY(sync_directory(root_));
  return removed;
}

Result<void> LayerStore::flatten(const std::vector<ImageLayer>& layers, const std::string& target) {
  TRY_ASSIGN(base::UniqueFd fd, open_directory(target));
  for (const ImageLayer& layer : layers) TRY(apply_layer(content_, layer, fd.get()));
  return {};
}

Result<void> LayerStore::collect(const std::set<std::string>& keep) {
  Result<void> result;
  for (const std::string& name : names_in(root_)) {
    if (keep.count(name) != 0 || name.starts_with(kTemporary)) continue;
    std::string trash = root_ + "/" + std::string(kTrash) + name;
    bool moved = name.starts_with(kTrash);
    if (moved) {
      trash = root_ + "/" + name;
    } else {
      content_.leases().unless_held(
          name, [&] { moved = rename((root_ + "/" + name).c_str(), trash.c_str()) == 0; });
    }
    if (!moved) continue;
    {
      std::lock_guard lock(mutex_);
      measured_.erase(name);
    }
    if (Result<void> removed = remove_tree(trash); !removed.ok()) result = removed;
  }
  return result;
}

void LayerStore::usage(uint64_t& bytes, uint64_t& inodes) const {
  for (const std::string& name : names_in(root_)) {
    if (name.starts_with(kTemporary) || name.starts_with(kTrash)) continue;
    std::pair<uint64_t, uint64_t> size{0, 0};
    std::unique_lock lock(mutex_);
    auto it = measured_.find(name);
    if (it != measured_.end()) {
      size = it->second;
    } else {
      lock.unlock();
      add_tree_usage(root_ + "/" + name, size.first, size.second);
      lock.lock();
      measured_[name] = size;
    }
    bytes += size.first;
    inodes += size.second;
  }
}

}  // namespace knarr::runtime
