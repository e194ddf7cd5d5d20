#include "server/metrics/resource_text.h"

#include <charconv>
#include <cmath>

namespace knarr::server {

namespace {

struct Sample {
  std::string_view name;
  std::string container, ns, pod;
  double value = 0;
  int64_t timestamp_ms = 0;
};

// A quoted value, from behind its first quote; false when it does not end.
bool read_quoted(std::string_view& rest, std::string& out) {
  for (size_t i = 0; i < rest.size(); i++) {
    if (rest[i] == '"') {
      rest.remove_prefix(i + 1);
      return true;
    }
    bool escaped = rest[i] == '\\' && i + 1 < rest.size();
    if (escaped) i++;
    out += escaped && rest[i] == 'n' ? '\n' : rest[i];
  }
  return false;
}

bool read_labels(std::string_view& rest, Sample& sample) {
  while (!rest.empty() && rest[0] != '}') {
    size_t equals = rest.find("=\"");
    if (equals == std::string_view::npos) return false;
    std::string_view name = rest.substr(0, equals);
    rest.remove_prefix(equals + 2);
    std::string value;
    if (!read_quoted(rest, value)) return false;
    if (name == "container") sample.container = std::move(value);
    if (name == "namespace") sample.ns = std::move(value);
    if (name == "pod") sample.pod = std::move(value);
    if (!rest.empty() && rest[0] == ',') rest.remove_prefix(1);
  }
  if (rest.empty()) return false;
  rest.remove_prefix(1);
  return true;
}

void skip_blanks(std::string_view& rest) {
  while (!rest.empty() && rest[0] == ' ') rest.remove_prefix(1);
}

// `name{labels} value timestamp`
bool read_sample(std::string_view line, Sample& sample) {
  size_t end = line.find_first_of("{ ");
  if (end == std::string_view::npos || end == 0) return false;
  sample.name = line.substr(0, end);
  bool labels = line[end] == '{';
  line.remove_prefix(end + 1);
  if (labels && !read_labels(line, sample)) return false;
  skip_blanks(line);
  auto [at, error] = std::from_chars(line.data(), line.data() + line.size(), sample.value);
  if (error != std::errc() || !std::isfinite(sample.value) || sample.value < 0) return false;
  line.remove_prefix(static_cast<size_t>(at - line.data()));
  skip_blanks(line);
  std::from_chars(line.data(), line.data() + line.size(), sample.timestamp_ms);
  return true;
}

void take(const Sample& s, std::string_view what, UsageCounter& counter) {
  constexpr double kMost = 9e18;
  if (what == "cpu_usage_seconds_total") {
    counter.cpu_seconds = s.value;
    counter.cpu_ms = s.timestamp_ms;
  } else if (what == "memory_working_set_bytes" && s.value < kMost) {
    counter.memory_bytes = static_cast<int64_t>(s.value);
  } else if (what == "start_time_seconds") {
    counter.started_seconds = s.value;
  }
}

}  // namespace

NodeCounters parse_resource_metrics(std::string_view text) {
  constexpr std::string_view kNode = "node_", kContainer = "container_";
  NodeCounters out;
  while (!text.empty()) {
    size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    Sample s;
    if (line.empty() || line[0] == '#' || !read_sample(line, s)) continue;
    if (s.name.starts_with(kNode)) {
      take(s, s.name.substr(kNode.size()), out.node);
    } else if (s.name.starts_with(kContainer) && !s.container.empty() && !s.pod.empty()) {
      take(s, s.name.substr(kContainer.size()), out.pods[{s.ns, s.pod}][s.container]);
    }
  }
  return out;
}

}  // namespace knarr::server
