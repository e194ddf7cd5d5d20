#include "agent/downward.h"

#include <map>

#include "api/quantity.h"
#include "base/format.h"

namespace knarr::agent {

using json::Value;

namespace {

std::string join(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ",") + part;
  return text;
}

// "metadata.labels['app']": the key between the quotes, if the path has this form.
bool subscript(std::string_view path, std::string_view name, std::string& key) {
  std::string_view rest = path;
  if (rest.substr(0, name.size()) != name) return false;
  rest.remove_prefix(name.size());
  if (rest.size() < 4 || rest.substr(0, 2) != "['" || rest.substr(rest.size() - 2) != "']") {
    return false;
  }
  key = std::string(rest.substr(2, rest.size() - 4));
  return true;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out + "\"";
}

}  // namespace

std::string format_map(const Value& map) {
  std::map<std::string, std::string> sorted;
  for (auto [key, value] : map.members()) sorted[std::string(key)] = value.text();
  std::string out;
  for (const auto& [key, value] : sorted) {
    out += (out.empty() ? "" : "\n") + key + "=" + quoted(value);
  }
  return out;
}

Result<std::string> field_value(const Pod& pod, std::string_view path, const NodeFacts& node,
                                const std::vector<std::string>& pod_ips) {
  std::string key;
  if (subscript(path, "metadata.labels", key)) return pod.metadata()["labels"][key].text();
  if (subscript(path, "metadata.annotations", key)) {
    return pod.metadata()["annotations"][key].text();
  }
  if (path == "metadata.name") return pod.name();
  if (path == "metadata.namespace") return pod.ns();
  if (path == "metadata.uid") return pod.uid();
  if (path == "metadata.labels") return format_map(pod.metadata()["labels"]);
  if (path == "metadata.annotations") return format_map(pod.metadata()["annotations"]);
  if (path == "spec.nodeName") return pod.spec()["nodeName"].text();
  if (path == "spec.serviceAccountName") return pod.spec()["serviceAccountName"].text();
  if (path == "status.hostIP") return node.host_ips.empty() ? std::string() : node.host_ips[0];
  if (path == "status.hostIPs") return join(node.host_ips);
  if (path == "status.podIP") return pod_ips.empty() ? std::string() : pod_ips[0];
  if (path == "status.podIPs") return join(pod_ips);
  return make_error(Code::kInvalid, fmt::format("unsupported fieldPath: {}", path));
}

Result<std::string> resource_value(const Pod& pod, const Value& ref, const ContainerSpec* own,
                                   const NodeFacts& node) {
  std::string_view name = ref["containerName"].as_string();
  const ContainerSpec* container = name.empty() ? own : pod.container(name);
  if (container == nullptr) {
    return make_error(Code::kInvalid, fmt::format("container {} not found", name));
  }
  std::string_view resource = ref["resource"].as_string();
  size_t dot = resource.find('.');
  std::string kind(resource.substr(0, dot));
  std::string what(dot == std::string_view::npos ? "" : resource.substr(dot + 1));
  if (kind != "limits" && kind != "requests") {
    return make_error(Code::kInvalid, fmt::format("unsupported container resource : {}", resource));
  }
  const Value& list = (*container->spec)["resources"][kind];
  const Value& set = kind == "limits" && !list.has(what) ? node.allocatable[what] : list[what];
  api::Quantity amount = api::quantity_or_zero(set.as_string());
  api::Quantity divisor = api::quantity_or_zero(ref["divisor"].as_string());
  if (divisor.is_zero()) divisor = api::Quantity(1);
  bool in_milli = what == "cpu";
  int64_t a = in_milli ? amount.milli_value() : amount.value();
  int64_t d = in_milli ? divisor.milli_value() : divisor.value();
  return std::to_string((a + d - 1) / d);  // rounded up
}

}  // namespace knarr::agent
