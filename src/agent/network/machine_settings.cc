#include "agent/network/machine_settings.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "base/ascii.h"
#include "base/file.h"
#include "base/unique_fd.h"

namespace knarr::agent {

namespace {

constexpr char kIpv6[] = "/proc/sys/net/ipv6/conf/";

// Packets between pods leave by the bridge they came from. The redirects that this would cause
// would use up the ICMP messages that a pod may get, and a refused connection would not hear of it.
// A link sends them when either its own setting or this one says so: other links keep their own.
//
// Node ports on 127.0.0.1 lead to pods of other nodes: by a tunnel's link, which has its own
// setting, or by whichever link of the machine's leads there. Its 127.0.0.0/8 stays its own by a
// rule.
enum class Where { kAlways, kV6, kDirectRoutes };
struct Setting {
  const char* path;
  const char* value;
  Where where;
};
constexpr Setting kMachineSettings[] = {
    {"/proc/sys/net/ipv4/ip_forward", "1", Where::kAlways},
    {"/proc/sys/net/ipv4/conf/all/send_redirects", "0", Where::kAlways},
    {"/proc/sys/net/ipv4/conf/all/route_localnet", "1", Where::kDirectRoutes},
    {"/proc/sys/net/ipv6/conf/all/forwarding", "1", Where::kV6},
};

bool holds(const std::string& path, std::string_view value) {
  auto present = base::read_file(path);
  return present.ok() && base::trim(*present) == value;
}

std::string accept_ra(const std::string& link) { return kIpv6 + link + "/accept_ra"; }

// A machine that forwards does not listen to routers any more, unless told to: it would lose its
// own addresses and default route after a while.
Result<void> keep_routers(const std::string& state_dir) {
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(kIpv6, failed)) {
    std::string link = entry.path().filename();
    if (link == "all" || link == "default" || link == "lo") continue;
    if (!holds(accept_ra(link), "1")) continue;
    TRY(change_machine_setting(accept_ra(link), "2", state_dir));
  }
  return {};
}

Result<void> remember(const std::string& file, const std::string& path, std::string_view value) {
  auto text = base::read_file(file);
  if (!text.ok() && text.error().code != Code::kNotFound) return text.error();
  std::string lines;
  for (std::string_view rest = text.ok() ? *text : std::string_view(); !rest.empty();) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (!line.starts_with(path + " ")) lines += std::string(line) + "\n";
  }
  return base::write_file(file, lines + path + " " + std::string(value) + "\n");
}

}  // namespace

Result<void> write_setting(const std::string& path, std::string_view value) {
  base::UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid() || write(fd.get(), value.data(), value.size()) < 0) {
    return errno_error(errno, "write " + path);
  }
  return {};
}

Result<void> change_machine_setting(const std::string& path, std::string_view value,
                                    const std::string& state_dir) {
  TRY_ASSIGN(std::string before, base::read_file(path));
  if (base::trim(before) == value) return {};
  if (!state_dir.empty()) TRY(remember(state_dir + kSettingsBefore, path, base::trim(before)));
  return write_setting(path, value);
}

Result<void> bridge_settings(const std::string& bridge, const std::string& state_dir,
                             const SettingsWanted& wanted) {
  const bool v6 = wanted.v6;
  // Host ports and node ports on 127.0.0.1 lead to pods; pods themselves are kept from the host's
  // 127.0.0.0/8 by a rule.
  std::string conf = "/proc/sys/net/ipv4/conf/" + bridge;
  TRY(write_setting(conf + "/route_localnet", "1"));
  TRY(write_setting(conf + "/send_redirects", "0"));
  // Pods are no routers, and the machine has IPv6 whether the cluster does or not.
  if (v6 || base::file_exists(accept_ra(bridge))) TRY(write_setting(accept_ra(bridge), "0"));
  if (v6) {
    TRY(write_setting(kIpv6 + bridge + "/disable_ipv6", "0"));
    TRY(write_setting(kIpv6 + bridge + "/keep_addr_on_down", "1"));
  }
  for (const Setting& setting : kMachineSettings) {
    if (setting.where == Where::kV6 && !v6) continue;
    if (setting.where == Where::kDirectRoutes && !wanted.direct_routes) continue;
    if (setting.where == Where::kV6 && !holds(setting.path, setting.value)) {
      TRY(keep_routers(state_dir));
    }
    TRY(change_machine_setting(setting.path, setting.value, state_dir));
  }
  return {};
}

bool has_ipv6() { return base::file_exists("/proc/sys/net/ipv6"); }

}  // namespace knarr::agent
