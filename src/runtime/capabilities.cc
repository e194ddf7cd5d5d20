#include "runtime/capabilities.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/ascii.h"
#include "base/format.h"

namespace knarr::runtime {

namespace {

// By number.
constexpr std::array<std::string_view, 41> kNames = {"CHOWN",
                                                     "DAC_OVERRIDE",
                                                     "DAC_READ_SEARCH",
                                                     "FOWNER",
                                                     "FSETID",
                                                     "KILL",
                                                     "SETGID",
                                                     "SETUID",
                                                     "SETPCAP",
                                                     "LINUX_IMMUTABLE",
                                                     "NET_BIND_SERVICE",
                                                     "NET_BROADCAST",
                                                     "NET_ADMIN",
                                                     "NET_RAW",
                                                     "IPC_LOCK",
                                                     "IPC_OWNER",
                                                     "SYS_MODULE",
                                                     "SYS_RAWIO",
                                                     "SYS_CHROOT",
                                                     "SYS_PTRACE",
                                                     "SYS_PACCT",
                                                     "SYS_ADMIN",
                                                     "SYS_BOOT",
                                                     "SYS_NICE",
                                                     "SYS_RESOURCE",
                                                     "SYS_TIME",
                                                     "SYS_TTY_CONFIG",
                                                     "MKNOD",
                                                     "LEASE",
                                                     "AUDIT_WRITE",
                                                     "AUDIT_CONTROL",
                                                     "SETFCAP",
                                                     "MAC_OVERRIDE",
                                                     "MAC_ADMIN",
                                                     "SYSLOG",
                                                     "WAKE_ALARM",
                                                     "BLOCK_SUSPEND",
                                                     "AUDIT_READ",
                                                     "PERFMON",
                                                     "BPF",
                                                     "CHECKPOINT_RESTORE"};

constexpr std::string_view kDefault[] = {
    "CHOWN",   "DAC_OVERRIDE", "FSETID",           "FOWNER",
    "MKNOD",   "NET_RAW",      "SETGID",           "SETUID",
    "SETFCAP", "SETPCAP",      "NET_BIND_SERVICE", "SYS_CHROOT",
    "KILL",    "AUDIT_WRITE"};

Result<void> apply(uint64_t& set, const std::vector<std::string>& names, bool add) {
  for (const std::string& name : names) {
    uint64_t bits = all_capabilities();
    if (base::upper(name) != "ALL") {
      int number = capability_number(name);
      if (number < 0)
        return make_error(Code::kInvalid, fmt::format("unknown capability \"{}\"", name));
      bits = uint64_t{1} << number;
    }
    set = add ? set | bits : set & ~bits;
  }
  return {};
}

bool has_all(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (base::upper(name) == "ALL") return true;
  }
  return false;
}

}  // namespace

int capability_number(std::string_view name) {
  std::string wanted = base::upper(name);
  if (wanted.starts_with("CAP_")) wanted.erase(0, 4);
  for (size_t i = 0; i < kNames.size(); i++) {
    if (kNames[i] == wanted) return static_cast<int>(i);
  }
  return -1;
}

uint64_t all_capabilities() { return (uint64_t{1} << kNames.size()) - 1; }

uint64_t default_capabilities() {
  uint64_t set = 0;
  for (std::string_view name : kDefault) set |= uint64_t{1} << capability_number(name);
  return set;
}

// ALL comes first on each side, then single names: "drop ALL, add NET_RAW" leaves NET_RAW, and
// "add ALL, drop NET_RAW" all but that.
Result<uint64_t> capability_set(bool privileged, const std::vector<std::string>& add,
                                const std::vector<std::string>& drop) {
  if (privileged) return all_capabilities();
  uint64_t set = default_capabilities();
  if (has_all(add)) set = all_capabilities();
  if (has_all(drop)) set = 0;
  std::vector<std::string> single_adds;
  std::vector<std::string> single_drops;
  for (const std::string& name : add) {
    if (base::upper(name) != "ALL") single_adds.push_back(name);
  }
  for (const std::string& name : drop) {
    if (base::upper(name) != "ALL") single_drops.push_back(name);
  }
  TRY(apply(set, single_adds, true));
  TRY(apply(set, single_drops, false));
  return set;
}

uint64_t bounding_capabilities() {
  uint64_t set = 0;
  for (size_t i = 0; i < kNames.size(); i++) {
    if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1) set |= uint64_t{1} << i;
  }
  return set;
}

Result<void> limit_bounding_set(uint64_t set) {
  for (unsigned i = 0; i < 64; i++) {
    if (set >> i & 1) continue;
    int present = prctl(PR_CAPBSET_READ, i, 0, 0, 0);
    if (present < 0) break;  // past the kernel's last capability
    if (present == 1 && prctl(PR_CAPBSET_DROP, i, 0, 0, 0) != 0) {
      return errno_error(errno, "drop a capability from the bounding set");
    }
  }
  return {};
}

Result<void> take_capabilities(uint64_t set) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  for (int half = 0; half < 2; half++) {
    auto bits = static_cast<uint32_t>(set >> (32 * half));
    data[half].effective = bits;
    data[half].permitted = bits;
  }
  if (syscall(SYS_capset, &header, data) != 0) return errno_error(errno, "set capabilities");
  return {};
}

}  // namespace knarr::runtime
