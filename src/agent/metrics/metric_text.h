// Metrics in the text format of Prometheus, version 0.0.4. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace knarr::agent {

inline constexpr const char* kMetricsType = "text/plain; version=0.0.4; charset=utf-8";

enum class MetricKind { kCounter, kGauge };

using MetricLabels = std::vector<std::pair<std::string_view, std::string_view>>;

class MetricText {
 public:
  // What follows belongs to it. A family without a sample is not shown.
  void family(std::string_view name, MetricKind kind, std::string_view help);
  // timestamp_ms 0: of now.
  void add(const MetricLabels& labels, uint64_t value, int64_t timestamp_ms = 0);
  void add(const MetricLabels& labels, double value, int64_t timestamp_ms = 0);
  std::string take() { return std::move(text_); }

 private:
  void line(const MetricLabels& labels, const std::string& value, int64_t timestamp_ms);

  std::string text_, name_, heading_;
};

}  // namespace knarr::agent
