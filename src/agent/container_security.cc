#include <algorithm>

#include "agent/container_config.h"
#include "base/format.h"

namespace knarr::agent {

using json::Value;

namespace {

// The container's own setting, else the pod's.
const Value& setting(const Pod& pod, const Value& container, const char* name) {
  const Value& own = container["securityContext"][name];
  return own.is_null() ? pod.spec()["securityContext"][name] : own;
}

runtime::SeccompProfile seccomp_of(const Value& profile) {
  runtime::SeccompProfile seccomp;
  std::string_view type = profile["type"].as_string("Unconfined");
  seccomp.type = type == "RuntimeDefault" ? runtime::SeccompProfile::Type::kRuntimeDefault
                 : type == "Localhost"    ? runtime::SeccompProfile::Type::kLocalhost
                                          : runtime::SeccompProfile::Type::kUnconfined;
  seccomp.localhost_path = profile["localhostProfile"].text();
  return seccomp;
}

std::vector<std::string> strings_of(const Value& list) {
  std::vector<std::string> out;
  for (const Value& v : list.elements()) out.push_back(v.text());
  return out;
}

bool numeric(const std::string& text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

runtime::SecurityContext security_of(const Pod& pod, const Value& container) {
  const Value& own = container["securityContext"];
  const Value& of_pod = pod.spec()["securityContext"];
  runtime::SecurityContext s;
  s.run_as_user = setting(pod, container, "runAsUser").as_int(-1);
  s.run_as_group = setting(pod, container, "runAsGroup").as_int(-1);
  if (of_pod["fsGroup"].is_integer()) s.supplemental_groups.push_back(of_pod["fsGroup"].as_int());
  for (const Value& group : of_pod["supplementalGroups"].elements()) {
    s.supplemental_groups.push_back(group.as_int());
  }
  s.strict_supplemental_groups = of_pod["supplementalGroupsPolicy"].as_string() == "Strict";
  s.privileged = own["privileged"].as_bool();
  s.read_only_root = own["readOnlyRootFilesystem"].as_bool();
  s.no_new_privileges = !own["allowPrivilegeEscalation"].as_bool(true);
  s.unmasked_proc = own["procMount"].as_string() == "Unmasked";
  s.add_capabilities = strings_of(own["capabilities"]["add"]);
  s.drop_capabilities = strings_of(own["capabilities"]["drop"]);
  s.seccomp = seccomp_of(setting(pod, container, "seccompProfile"));
  return s;
}

Result<void> check_non_root(const Pod& pod, const ContainerSpec& container,
                            const runtime::ImageSpec& image) {
  if (!setting(pod, *container.spec, "runAsNonRoot").as_bool()) return {};
  std::string where = fmt::format("(pod: \"{}\", container: {})", pod.full_name(), container.name);
  const Value& user = setting(pod, *container.spec, "runAsUser");
  if (user.is_integer()) {
    if (user.as_int() != 0) return {};
    return make_error(Code::kInvalid, "container's runAsUser breaks non-root policy " + where);
  }
  std::string name = image.user.substr(0, image.user.find(':'));
  bool zero = name.find_first_not_of('0') == std::string::npos;
  if (zero || name == "root") {
    return make_error(Code::kInvalid,
                      "container has runAsNonRoot and image will run as root " + where);
  }
  if (!numeric(name)) {
    return make_error(Code::kInvalid,
                      fmt::format("container has runAsNonRoot and image has non-numeric user ({}), "
                                  "cannot verify user is non-root {}",
                                  name, where));
  }
  return {};
}

}  // namespace knarr::agent
