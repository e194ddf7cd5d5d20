#include "cli/kubectl/wait_condition.h"

#include "base/format.h"
#include "cli/kubectl/discovery.h"

namespace knarr::kubectl {

Result<WaitCondition> WaitCondition::parse(const std::string& text) {
  WaitCondition condition;
  std::string lower = lower_case(text);
  if (lower == "delete" || lower == "create") {
    condition.kind = lower == "delete" ? Kind::kDelete : Kind::kCreate;
    return condition;
  }
  if (text.starts_with("condition=")) {
    std::string rest = text.substr(10);
    size_t equals = rest.find('=');
    condition.type = rest.substr(0, equals);
    condition.value = equals == std::string::npos ? "true" : rest.substr(equals + 1);
    return condition;
  }
  if (text.starts_with("jsonpath=")) {
    condition.kind = Kind::kJsonPath;
    std::string rest = text.substr(9);
    size_t brace = rest.rfind('}');
    size_t equals = rest.find('=', brace == std::string::npos ? 0 : brace);
    TRY_ASSIGN(condition.path, JsonPath::parse_relaxed(rest.substr(0, equals)));
    if (equals != std::string::npos) condition.value = rest.substr(equals + 1);
    return condition;
  }
  return make_error(Code::kBadRequest, fmt::format("unrecognized condition: \"{}\"", text));
}

bool WaitCondition::is_met(const json::Value& object) const {
  switch (kind) {
    case Kind::kDelete: return object.is_null();
    case Kind::kCreate: return !object.is_null();
    case Kind::kJsonPath: {
      std::vector<json::Value> found = path.find(object);
      return found.size() == 1 && (value.empty() || value_text(found[0]) == value);
    }
    case Kind::kCondition: break;
  }
  for (const json::Value& one : object["status"]["conditions"].elements()) {
    if (lower_case(one["type"].as_string()) != lower_case(type)) continue;
    const json::Value& observed = one["observedGeneration"];
    if (observed.is_integer() && observed.as_int() < object["metadata"]["generation"].as_int()) {
      return false;
    }
    return lower_case(one["status"].as_string()) == lower_case(value);
  }
  return false;
}

}  // namespace knarr::kubectl
