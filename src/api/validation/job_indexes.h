// Sets of completion indexes as text: "0,3-5".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "knarr/result.h"

namespace knarr::api::rules {

// How many indexes the text names, each below `completions` and in rising order; kBadRequest with
// upstream's words.
Result<int64_t> count_indexes(std::string_view text, int64_t completions);

// What is wrong when an index stands in both; "" when nothing is.
std::string indexes_overlap(std::string_view completed, std::string_view failed,
                            int64_t completions);

}  // namespace knarr::api::rules
