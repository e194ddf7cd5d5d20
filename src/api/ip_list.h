// Lists of addresses or ranges as flags of dual-stack clusters have them:
// "10.42.0.0/16,fd00:42::/56". Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace knarr::api {

// Of the text of an address or a range.
inline bool is_v6(std::string_view text) { return text.find(':') != std::string_view::npos; }
inline std::string_view family_name(bool v6) { return v6 ? "IPv6" : "IPv4"; }

// Parts between commas, without spaces around them; empty ones are left out.
std::vector<std::string> split_list(std::string_view list);
std::string join_list(const std::vector<std::string>& parts);

// The first of the family; empty when there is none.
std::string of_family(std::string_view list, bool v6);
inline bool has_family(std::string_view list, bool v6) { return !of_family(list, v6).empty(); }
std::string first_of(std::string_view list);

}  // namespace knarr::api
