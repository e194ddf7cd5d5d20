#include "api/validation/job_indexes.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

#include "api/validation/errors.h"
#include "base/format.h"

namespace knarr::api::rules {
namespace {

struct Interval {
  int64_t first;
  int64_t last;
};

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> out;
  size_t begin = 0;
  while (true) {
    size_t end = text.find(separator, begin);
    out.push_back(text.substr(begin, end - begin));
    if (end == std::string_view::npos) return out;
    begin = end + 1;
  }
}

Error problem(std::string text) { return make_error(Code::kBadRequest, std::move(text)); }

Result<int64_t> parse_index(std::string_view text, int64_t completions) {
  std::string_view digits = text.substr(!text.empty() && text[0] == '+' ? 1 : 0);
  int64_t value = 0;
  auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size()) {
    return problem("cannot convert string to integer for index: " + go_quote(text));
  }
  if (value >= completions) return problem("too large index: " + go_quote(text));
  return value;
}

Result<Interval> parse_interval(std::string_view text, int64_t completions) {
  std::vector<std::string_view> limits = split(text, '-');
  if (limits.size() > 2) {
    return problem(
        fmt::format("the fragment {} violates the requirement that an index interval "
                    "can have at most two parts separated by '-'",
                    go_quote(text)));
  }
  TRY_ASSIGN(int64_t first, parse_index(limits[0], completions));
  if (limits.size() == 1) return Interval{first, first};
  TRY_ASSIGN(int64_t last, parse_index(limits[1], completions));
  if (first >= last) {
    return problem(fmt::format("non-increasing order, previous: {}, current: {}", first, last));
  }
  return Interval{first, last};
}

}  // namespace

Result<int64_t> count_indexes(std::string_view text, int64_t completions) {
  if (text.empty()) return int64_t{0};
  std::optional<int64_t> previous;
  int64_t total = 0;
  for (std::string_view part : split(text, ',')) {
    TRY_ASSIGN(Interval interval, parse_interval(part, completions));
    if (previous && *previous >= interval.first) {
      return problem(fmt::format("non-increasing order, previous: {}, current: {}", *previous,
                                 interval.first));
    }
    total += interval.last - interval.first + 1;
    previous = interval.last;
  }
  return total;
}

std::string indexes_overlap(std::string_view completed, std::string_view failed,
                            int64_t completions) {
  if (completed.empty() || failed.empty()) return "";
  std::vector<Interval> done;  // malformed ones are reported elsewhere
  for (std::string_view part : split(completed, ',')) {
    if (auto interval = parse_interval(part, completions); interval.ok()) done.push_back(*interval);
  }
  size_t at = 0;
  for (std::string_view part : split(failed, ',')) {
    auto parsed = parse_interval(part, completions);
    if (!parsed.ok()) continue;
    while (at < done.size() && done[at].last < parsed->first) at++;
    if (at < done.size() && done[at].first <= parsed->last) {
      return fmt::format("failedIndexes and completedIndexes overlap at index: {}",
                         std::max(done[at].first, parsed->first));
    }
  }
  return "";
}

}  // namespace knarr::api::rules
