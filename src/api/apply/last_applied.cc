#include "api/apply/last_applied.h"

#include <algorithm>
#include <vector>

#include "api/apply/fields_of.h"
#include "base/format.h"

namespace knarr::api {
namespace {

constexpr const char* kAnnotation = "kubectl.kubernetes.io/last-applied-configuration";
constexpr size_t kMaxAnnotationsBytes = 256 * 1024;

json::Value sorted(const json::Value& value) {
  if (value.is_array()) {
    json::Value out = json::Value::array();
    for (const json::Value& element : value.elements()) out.push_back(sorted(element));
    return out;
  }
  if (!value.is_object()) return value;
  std::vector<std::pair<std::string_view, const json::Value*>> members;
  for (auto [key, member] : value.members()) members.emplace_back(key, &member);
  std::sort(members.begin(), members.end());
  json::Value out = json::Value::object();
  for (const auto& [key, member] : members) out.set(key, sorted(*member));
  return out;
}

}  // namespace

FieldSet allowed_by_last_applied(const Type& type, const json::Value& live,
                                 std::string_view api_version) {
  const json::Value& annotation = live["metadata"]["annotations"][kAnnotation];
  if (annotation.as_string().empty()) return {};
  Result<json::Value> last = json::parse(annotation.as_string());
  if (!last.ok() || !last->is_object() || (*last)["apiVersion"].as_string() != api_version) {
    return {};
  }
  FieldSet fields = fields_of(type, *last);
  FieldChanges changes = compare_objects(type, *last, live);
  fields.remove(changes.changed);
  fields.remove(changes.removed);
  return fields;
}

void renew_last_applied(json::Value& object, const json::Value& config) {
  const json::Value& annotations = object["metadata"]["annotations"];
  if (annotations[kAnnotation].as_string().empty()) return;
  json::Value bare = config;
  json::Value* meta = bare.find("metadata");
  json::Value* own = meta == nullptr ? nullptr : meta->find("annotations");
  if (own != nullptr) own->erase(kAnnotation);
  std::string text;
  for (char c : json::write(sorted(bare))) {
    if (c == '<' || c == '>' || c == '&') {
      text += fmt::format("\\u{:04x}", static_cast<int>(c));
    } else {
      text += c;
    }
  }
  text += '\n';
  json::Value& to = object.member("metadata").member("annotations");
  to.set(kAnnotation, text);
  size_t total = 0;
  for (auto [key, value] : to.members()) total += key.size() + value.as_string().size();
  if (total > kMaxAnnotationsBytes) to.erase(kAnnotation);
}

}  // namespace knarr::api
