#include "agent/metrics/metric_text.h"

#include "base/format.h"

namespace knarr::agent {

namespace {

void append_escaped(std::string& out, std::string_view text) {
  for (char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
}

}  // namespace

void MetricText::family(std::string_view name, MetricKind kind, std::string_view help) {
  name_ = name;
  heading_ = fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name,
                         kind == MetricKind::kCounter ? "counter" : "gauge");
}

void MetricText::add(const MetricLabels& labels, uint64_t value, int64_t timestamp_ms) {
  line(labels, std::to_string(value), timestamp_ms);
}

void MetricText::add(const MetricLabels& labels, double value, int64_t timestamp_ms) {
  line(labels, fmt::format("{}", value), timestamp_ms);
}

void MetricText::line(const MetricLabels& labels, const std::string& value, int64_t timestamp_ms) {
  text_ += std::exchange(heading_, {});
  text_ += name_;
  if (!labels.empty()) {
    char separator = '{';
    for (const auto& [name, text] : labels) {
      text_ += std::exchange(separator, ',');
      text_ += name;
      text_ += "=\"";
      append_escaped(text_, text);
      text_ += '"';
    }
    text_ += '}';
  }
  text_ += ' ';
  text_ += value;
  if (timestamp_ms != 0) text_ += " " + std::to_string(timestamp_ms);
  text_ += '\n';
}

}  // namespace knarr::agent
