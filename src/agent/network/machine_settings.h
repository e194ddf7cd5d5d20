// Kernel settings that a pod network changes, of the bridge and of the whole machine. What the
// machine's were is kept in a file, a line "PATH VALUE" for each, from which knarr-killall.sh sets
// them again when the last bridge has gone. /proc/sys/net is that of the calling thread's
// namespace. Blocking.
#pragma once

#include <string>
#include <string_view>

#include "knarr/result.h"

namespace knarr::agent {

// Written in place: these are no files to rename.
Result<void> write_setting(const std::string& path, std::string_view value);

inline constexpr const char* kSettingsBefore = "/settings-before";  // in the folder
// What it was before is on disk first. An empty folder: nothing is kept.
Result<void> change_machine_setting(const std::string& path, std::string_view value,
                                    const std::string& state_dir);

struct SettingsWanted {
  bool v6 = false;
  bool direct_routes = false;  // pods of other nodes are reached by the machine's own links
};
// Forwarding and what goes with it.
Result<void> bridge_settings(const std::string& bridge, const std::string& state_dir,
                             const SettingsWanted& wanted);

// Whether the kernel has IPv6 at all.
bool has_ipv6();

}  // namespace knarr::agent
