// What the processes of a cgroup have used, out of the kernel's files. Pure.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "knarr/runtime.h"

namespace knarr::runtime {

// The text of a file of the group, on v1 in the hierarchy of this controller; empty: there is none.
using ReadGroupFile =
    std::function<std::string(std::string_view controller, std::string_view file)>;

Usage usage_of_v1(const ReadGroupFile& read);
Usage usage_of_v2(const ReadGroupFile& read);

// Out of /proc/<pid>/net/dev: the interfaces but loopback.
std::vector<InterfaceUsage> interface_usage(std::string_view text);

}  // namespace knarr::runtime
