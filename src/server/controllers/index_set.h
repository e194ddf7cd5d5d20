// A set of completion indexes as Job statuses write it: "0,2-5,7".
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

namespace knarr::server {

// Indexes at or above `limit` are dropped; what can't be read ends the parse.
std::set<int64_t> parse_indexes(std::string_view text, int64_t limit);
// Two neighbours are written "1,2", three and more "1-3".
std::string format_indexes(const std::set<int64_t>& indexes);

}  // namespace knarr::server
