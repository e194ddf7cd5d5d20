#include "api/table/columns.h"

#include <algorithm>

#include "api/duration.h"
#include "api/selector.h"
#include "base/format.h"
#include "base/time.h"

namespace knarr::api::table {
namespace {

std::string container_members(const json::Value& pod_spec, const char* member) {
  std::string out;
  bool first = true;
  for (const json::Value& container : pod_spec["containers"].elements()) {
    if (!first) out += ',';
    out += container[member].as_string();
    first = false;
  }
  return out;
}

}  // namespace

const json::Value& at_path(const json::Value& object, std::string_view path) {
  const json::Value* at = &object;
  for (;;) {
    size_t dot = path.find('.');
    at = &(*at)[path.substr(0, dot)];
    if (dot == std::string_view::npos) return *at;
    path.remove_prefix(dot + 1);
  }
}

json::Value name_cell(const json::Value& object, int64_t) {
  return object["metadata"]["name"].as_string();
}

json::Value age_cell(const json::Value& object, int64_t now_us) {
  return age(object["metadata"]["creationTimestamp"].as_string(), now_us);
}

json::Value created_cell(const json::Value& object, int64_t) {
  return object["metadata"]["creationTimestamp"].as_string();
}

std::string container_names(const json::Value& pod_spec) {
  return container_members(pod_spec, "name");
}

std::string container_images(const json::Value& pod_spec) {
  return container_members(pod_spec, "image");
}

std::string label_list(const json::Value& labels) {
  std::vector<std::string> items;
  for (auto [key, value] : labels.members()) {
    items.push_back(fmt::format("{}={}", key, value.as_string()));
  }
  std::sort(items.begin(), items.end());
  return items.empty() ? "<none>" : joined(items, ",");
}

std::string selector_text(const json::Value& selector, const char* none, const char* broken) {
  if (selector.is_null()) return none;
  auto text = label_selector_text(selector);
  if (!text.ok()) return broken;
  return text->empty() ? none : *text;
}

std::string some_of(const std::vector<std::string>& items, size_t max, size_t total) {
  std::string out;
  for (size_t i = 0; i < items.size() && i < max; i++) {
    if (i > 0) out += ',';
    out += items[i];
  }
  if (total > max) out += fmt::format(" + {} more...", total - max);
  return out;
}

std::string joined(const std::vector<std::string>& items, std::string_view separator) {
  std::string out;
  for (size_t i = 0; i < items.size(); i++) {
    if (i > 0) out += separator;
    out += items[i];
  }
  return out;
}

std::string_view condition_status(const json::Value& conditions, std::string_view type) {
  for (const json::Value& condition : conditions.elements()) {
    if (condition["type"].as_string() == type) return condition["status"].as_string();
  }
  return {};
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return out;
}

}  // namespace knarr::api::table
