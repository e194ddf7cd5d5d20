// meta/v1 Conditions, which many kinds have in their status.
#include <set>

#include "api/validation/rules.h"

namespace knarr::api::rules {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_word(char c) { return is_letter(c) || (c >= '0' && c <= '9') || c == '_'; }

bool is_reason(std::string_view text) {
  if (text.empty() || !is_letter(text[0]) || !is_word(text.back())) return false;
  for (char c : text) {
    if (!is_word(c) && c != ',' && c != ':') return false;
  }
  return true;
}

void reason(const Value& value, const Path& path, ErrorList& errors) {
  constexpr size_t kMaxReason = 1024;
  std::string_view text = value.as_string();
  if (text.empty()) return errors.required(path);
  if (!is_reason(text)) {
    errors.invalid(
        path, text,
        regex_problem("a condition reason must start with alphabetic character, optionally "
                      "followed by a string of alphanumeric characters or '_,:', and must end "
                      "with an alphanumeric character or '_'",
                      "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?",
                      {"my_name", "MY_NAME", "MyName", "ReasonA,ReasonB", "ReasonA:ReasonB"}));
  }
  if (text.size() > kMaxReason) errors.too_long(path, kMaxReason);
}

}  // namespace

void conditions(const Value& list, const Path& path, ErrorList& errors) {
  constexpr size_t kMaxMessage = 32 * 1024;
  std::set<std::string_view> types;
  size_t i = 0;
  for (const Value& condition : list.elements()) {
    Path at = path[i++];
    std::string_view type = condition["type"].as_string();
    if (!types.insert(type).second) errors.duplicate(at / "type", type);
    qualified_name(condition["type"], at / "type", errors);
    std::string_view status = condition["status"].as_string();
    if (!contains({"False", "True", "Unknown"}, status)) {
      errors.not_supported(at / "status", status, {"False", "True", "Unknown"});
    }
    if (condition["observedGeneration"].as_int() < 0) {
      errors.invalid(at / "observedGeneration", condition["observedGeneration"],
                     "must be greater than or equal to zero");
    }
    if (condition["lastTransitionTime"].is_null()) errors.required(at / "lastTransitionTime");
    reason(condition["reason"], at / "reason", errors);
    if (condition["message"].as_string().size() > kMaxMessage) {
      errors.too_long(at / "message", kMaxMessage);
    }
  }
}

}  // namespace knarr::api::rules
