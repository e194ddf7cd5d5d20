#include "api/validation/app_armor.h"

namespace knarr::api {

std::string app_armor_annotation(std::string_view container) {
  return "container.apparmor.security.beta.kubernetes.io/" + std::string(container);
}

json::Value app_armor_profile(std::string_view annotation) {
  constexpr std::string_view kLocal = "localhost/";
  auto of_type = [](std::string_view type) { return json::Value::object({{"type", type}}); };
  if (annotation == "unconfined") return of_type("Unconfined");
  if (annotation == "runtime/default") return of_type("RuntimeDefault");
  if (!annotation.starts_with(kLocal) || annotation.size() == kLocal.size()) return {};
  json::Value out = of_type("Localhost");
  out.set("localhostProfile", annotation.substr(kLocal.size()));
  return out;
}

}  // namespace knarr::api
