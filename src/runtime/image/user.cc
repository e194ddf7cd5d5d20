#include "runtime/image/user.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <functional>
#include <optional>

#include "base/unique_fd.h"

namespace knarr::runtime {

namespace {

constexpr size_t kMaxDatabaseBytes = 8 << 20;

// Above it, numbers would turn into others on their way to the kernel, and 2^32 - 1 into "keep what
// there is": root.
constexpr int64_t kMaxId = INT32_MAX;

bool numeric(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::optional<uint32_t> number(std::string_view text) {
  uint32_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (!numeric(text) || error != std::errc() || value > kMaxId) return std::nullopt;
  return value;
}

// Calls fn with the fields of each line of a passwd or group file, until it says true.
void each_line(std::string_view text,
               const std::function<bool(const std::vector<std::string_view>&)>& fn) {
  std::vector<std::string_view> fields;
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line[0] == '#') continue;
    fields.clear();
    for (size_t at = 0; at <= line.size();) {
      size_t colon = std::min(line.find(':', at), line.size());
      fields.push_back(line.substr(at, colon - at));
      at = colon + 1;
    }
    if (fn(fields)) return;
  }
}

struct PasswdEntry {
  std::string name;
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::string home;
};

// A number is never a name: an image could call root "1000".
std::optional<PasswdEntry> find_user(std::string_view passwd, std::string_view user) {
  std::optional<PasswdEntry> found;
  std::optional<uint32_t> wanted = number(user);
  each_line(passwd, [&](const std::vector<std::string_view>& f) {
    std::optional<uint32_t> uid = f.size() >= 4 ? number(f[2]) : std::nullopt;
    std::optional<uint32_t> gid = f.size() >= 4 ? number(f[3]) : std::nullopt;
    if (!uid || !gid) return false;
    if (wanted ? *uid != *wanted : f[0] != user) return false;
    found = PasswdEntry{std::string(f[0]), *uid, *gid, std::string(f.size() > 5 ? f[5] : "")};
    return true;
  });
  return found;
}

std::optional<uint32_t> find_group(std::string_view group, std::string_view name) {
  if (numeric(name)) return number(name);
  std::optional<uint32_t> found;
  each_line(group, [&](const std::vector<std::string_view>& f) {
    if (f.size() >= 3 && f[0] == name) found = number(f[2]);
    return found.has_value();
  });
  return found;
}

void add_groups_of(std::string_view group, const std::string& user, std::vector<uint32_t>& out) {
  each_line(group, [&](const std::vector<std::string_view>& f) {
    std::optional<uint32_t> gid = f.size() >= 4 ? number(f[2]) : std::nullopt;
    if (!gid) return false;
    std::string_view members = f[3];
    while (!members.empty()) {
      size_t comma = std::min(members.find(','), members.size());
      if (members.substr(0, comma) == user) out.push_back(*gid);
      members.remove_prefix(std::min(comma + 1, members.size()));
    }
    return false;
  });
}

Error no_user(std::string_view user) {
  return make_error(Code::kInvalid, "unable to find user " + std::string(user) +
                                        ": no matching entries in passwd file");
}

Error out_of_range() {
  return make_error(Code::kInvalid, "uids and gids must be in range 0-" + std::to_string(kMaxId));
}

}  // namespace

Result<Identity> resolve_identity(std::string_view passwd, std::string_view group,
                                  const std::string& image_user, const SecurityContext& security) {
  std::string user = image_user;
  if (security.run_as_user >= 0) {
    user = std::to_string(security.run_as_user);
  } else if (!security.run_as_username.empty()) {
    user = security.run_as_username;
  }
  size_t colon = user.find(':');
  std::string group_part = colon == std::string::npos ? "" : user.substr(colon + 1);
  user = user.substr(0, colon);
  if (user.empty()) user = "0";
  for (const std::string& part : {user, group_part}) {
    if (numeric(part) && !number(part)) return out_of_range();
  }
  if (security.run_as_group > kMaxId) return out_of_range();
  for (int64_t gid : security.supplemental_groups) {
    if (gid < 0 || gid > kMaxId) return out_of_range();
  }

  Identity identity;
  std::optional<PasswdEntry> entry = find_user(passwd, user);
  if (entry) {
    identity.uid = entry->uid;
    identity.gid = entry->gid;
    if (!entry->home.empty()) identity.home = entry->home;
  } else if (std::optional<uint32_t> uid = number(user)) {
    identity.uid = *uid;
  } else {
    return no_user(user);
  }
  if (security.run_as_group >= 0) {
    identity.gid = static_cast<uint32_t>(security.run_as_group);
  } else if (!group_part.empty()) {
    std::optional<uint32_t> gid = find_group(group, group_part);
    if (!gid) {
      return make_error(Code::kInvalid, "unable to find group " + group_part +
                                            ": no matching entries in group file");
    }
    identity.gid = *gid;
  }
  identity.groups.push_back(identity.gid);
  if (entry && !security.strict_supplemental_groups) {
    add_groups_of(group, entry->name, identity.groups);
  }
  for (int64_t gid : security.supplemental_groups) {
    identity.groups.push_back(static_cast<uint32_t>(gid));
  }
  std::sort(identity.groups.begin(), identity.groups.end());
  identity.groups.erase(std::unique(identity.groups.begin(), identity.groups.end()),
                        identity.groups.end());
  return identity;
}

Result<std::string> read_file_in_root(int rootfs_fd, const std::string& path, size_t limit_bytes) {
  open_how how{};
  // Not blocking: a FIFO in the file's place would wait for a writer forever.
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  long opened = -1;
  for (int tries = 0; tries < 128; ++tries) {
    opened = syscall(SYS_openat2, rootfs_fd, path.c_str(), &how, sizeof how);
    if (opened >= 0 || (errno != EAGAIN && errno != EINTR)) break;
  }
  base::UniqueFd fd(static_cast<int>(opened));
  if (!fd.valid()) return errno_error(errno, "open " + path + " in the root file system");
  struct stat st;
  if (fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode)) {
    return make_error(Code::kInvalid, path + " in the root file system is not a regular file");
  }
  std::string out;
  char buffer[16384];
  for (;;) {
    ssize_t n = read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(errno, "read " + path + " in the root file system");
    if (n == 0) return out;
    out.append(buffer, static_cast<size_t>(n));
    if (out.size() > limit_bytes) {
      return make_error(Code::kRequestEntityTooLarge,
                        path + " in the root file system is too large");
    }
  }
}

Result<Identity> resolve_identity_in(int rootfs_fd, const std::string& image_user,
                                     const SecurityContext& security) {
  Result<std::string> passwd = read_file_in_root(rootfs_fd, "/etc/passwd", kMaxDatabaseBytes);
  Result<std::string> group = read_file_in_root(rootfs_fd, "/etc/group", kMaxDatabaseBytes);
  return resolve_identity(passwd.ok() ? *passwd : "", group.ok() ? *group : "", image_user,
                          security);
}

}  // namespace knarr::runtime
