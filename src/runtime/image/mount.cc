#include "runtime/image/mount.h"

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "base/format.h"
#include "runtime/image/user_namespace.h"

namespace knarr::runtime {

namespace {

// mount(2) copies one page of options, of which the last byte is lost.
constexpr size_t kMaxOptions = 4094;
constexpr size_t kMaxOwnOptions = kMaxOptions - sizeof ",userxattr";

// The overlay takes ',' for the end of an option and ':' for the end of a layer.
std::string escaped(const std::string& path) {
  std::string out;
  for (char c : path) {
    if (c == ',' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

Result<void> mount_with(const OverlayMount& m, const std::string& target, bool relative) {
  // Whose root may not set the attributes that the overlay keeps its notes in.
  static const bool user_attributes = in_user_namespace();
  std::string options = overlay_options(m, relative) + (user_attributes ? ",userxattr" : "");
  if (options.size() > kMaxOptions) {
    return make_error(Code::kInvalid, fmt::format("mount overlay at {}: too many layers ({})",
                                                  target, m.lower.size()));
  }
  unsigned long flags = m.read_only ? MS_RDONLY : 0;
  if (mount("overlay", target.c_str(), "overlay", flags, options.c_str()) != 0) {
    return errno_error(errno, "mount overlay at " + target);
  }
  return {};
}

Result<void> on_thread(int unshare_flags, const std::function<Result<void>()>& fn) {
  Result<void> result;
  std::thread([&] {
    result = unshare(unshare_flags) == 0 ? fn() : errno_error(errno, "unshare");
  }).join();
  return result;
}

}  // namespace

std::string overlay_options(const OverlayMount& m, bool relative) {
  std::string out = "lowerdir=";
  for (size_t i = 0; i < m.lower.size(); ++i) {
    if (i > 0) out += ':';
    out += relative ? m.lower[i] : escaped(m.layers_dir) + "/" + m.lower[i];
  }
  return out + ",upperdir=" + escaped(m.upper) + ",workdir=" + escaped(m.work);
}

Result<void> mount_overlay(const OverlayMount& m, const std::string& target) {
  if (overlay_options(m, false).size() <= kMaxOwnOptions) return mount_with(m, target, false);
  // Names relative to the working directory are short; a thread can have one of its own.
  return on_thread(CLONE_FS, [&]() -> Result<void> {
    if (chdir(m.layers_dir.c_str()) != 0) return errno_error(errno, "chdir " + m.layers_dir);
    return mount_with(m, target, true);
  });
}

Result<void> in_private_mount_namespace(const std::function<Result<void>()>& fn) {
  return on_thread(CLONE_NEWNS | CLONE_FS, [&]() -> Result<void> {
    if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      return errno_error(errno, "make mounts private");
    }
    return fn();
  });
}

}  // namespace knarr::runtime
