// Pods as objects: what may be created, and the little that may change later.
#include "api/validation/pod_object.h"

#include "api/validation/internal.h"
#include "api/validation/pod.h"
#include "api/validation/value_diff.h"

namespace knarr::api::rules {
namespace {

const Path kAnnotations = Path("metadata") / "annotations";
constexpr const char* kMirror = "kubernetes.io/config.mirror";
constexpr std::string_view kAppArmor = "container.apparmor.security.beta.kubernetes.io/";

constexpr std::string_view kFixed =
    "pod updates may not change fields other than "
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
    "`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
    "\n";

bool is_int32(std::string_view text) {
  size_t begin = !text.empty() && text[0] == '-' ? 1 : 0;
  if (text.size() == begin || text.size() > 11 || (text[begin] == '0' && text != "0")) return false;
  int64_t value = 0;
  for (char c : text.substr(begin)) {
    if (c < '0' || c > '9') return false;
    value = value * 10 + (c - '0');
  }
  return value <= 2147483648 - (begin == 0 ? 1 : 0);
}

void take_back(Value& spec, const Value& old, const char* member) {
  if (old.has(member)) {
    spec.set(member, old[member]);
  } else {
    spec.erase(member);
  }
}

// While a pod waits behind gates, where it may run can be narrowed: nothing that is asked for goes.
void selector_narrows(const Value& now, const Value& before, const Path& path, ErrorList& errors) {
  for (auto [key, value] : before.members()) {
    if (now[key] == value && now.has(key)) continue;
    errors.invalid(path, now.is_null() ? Value() : now,
                   "only additions to spec.nodeSelector are allowed (no mutations or deletions)");
    return;
  }
}

bool begins_with(const Value& now, const Value& before) {
  if (now.size() < before.size()) return false;
  for (size_t i = 0; i < before.size(); i++) {
    if (!(now[i] == before[i])) return false;
  }
  return true;
}

bool only_additions(const Value& now, const Value& before) {
  auto empty = [](const Value& term) {
    return term["matchExpressions"].empty() && term["matchFields"].empty();
  };
  if (empty(before) && !empty(now)) return false;
  return begins_with(now["matchExpressions"], before["matchExpressions"]) &&
         begins_with(now["matchFields"], before["matchFields"]);
}

void affinity_narrows(const Value& now, const Value& before, const Path& path, ErrorList& errors) {
  constexpr const char* kRequired = "requiredDuringSchedulingIgnoredDuringExecution";
  const Value& had = before[kRequired]["nodeSelectorTerms"];
  const Value& has = now[kRequired]["nodeSelectorTerms"];
  Path at = path / kRequired / "nodeSelectorTerms";
  auto shown = [](const Value& term) { return internal_value("", "v1", "NodeSelectorTerm", term); };
  if (had.empty()) return;
  if (had.size() != has.size()) {
    Value all = has.is_null() ? Value() : Value::array();
    for (const Value& term : has.elements()) all.push_back(shown(term));
    errors.invalid(at, all,
                   "no additions/deletions to non-empty NodeSelectorTerms list are allowed");
    return;
  }
  for (size_t i = 0; i < had.size(); i++) {
    if (only_additions(has[i], had[i])) continue;
    errors.invalid(at[i], shown(has[i]), "only additions are allowed (no mutations or deletions)");
  }
}

void forgive_placement(Value& spec, const Value& old, ErrorList& errors) {
  Path path("spec");
  if (!same(spec["nodeSelector"], old["nodeSelector"])) {
    selector_narrows(spec["nodeSelector"], old["nodeSelector"], path / "nodeSelector", errors);
    take_back(spec, old, "nodeSelector");
  }
  const Value& had = old["affinity"]["nodeAffinity"];
  const Value& has = spec["affinity"]["nodeAffinity"];
  if (has == had) return;
  affinity_narrows(has, had, path / "affinity" / "nodeAffinity", errors);
  Value& affinity = spec.member("affinity");
  if (affinity.is_null()) affinity = Value::object();
  take_back(affinity, old["affinity"], "nodeAffinity");
  if (affinity.empty() && !old.has("affinity")) spec.erase("affinity");
}

// The spec with what an update may change made equal to the old one.
Value masked(const Value& spec, const Value& old, ErrorList& errors) {
  Value out = spec;
  for (const char* list : {"containers", "initContainers"}) {
    Value* containers = out.find(list);
    if (containers == nullptr) continue;
    for (size_t i = 0; i < containers->size(); i++) {
      take_back(containers->at(i), old[list][i], "image");
    }
  }
  for (const char* member : {"activeDeadlineSeconds", "schedulingGates", "tolerations"}) {
    take_back(out, old, member);
  }
  if (old["terminationGracePeriodSeconds"].as_int() < 0 &&
      spec["terminationGracePeriodSeconds"].as_int() == 1) {
    take_back(out, old, "terminationGracePeriodSeconds");
  }
  if (!old["schedulingGates"].empty()) forgive_placement(out, old, errors);
  return out;
}

void only_more_tolerations(const Value& spec, const Value& old, ErrorList& errors) {
  Path path = Path("spec") / "tolerations";
  for (const Value& had : old["tolerations"].elements()) {
    bool kept = false;
    for (const Value& now : spec["tolerations"].elements()) {
      Value a = now;
      Value b = had;
      a.erase("tolerationSeconds");
      b.erase("tolerationSeconds");
      kept |= a == b;
    }
    if (!kept) {
      errors.forbidden(path,
                       "existing toleration can not be modified except its tolerationSeconds");
      return;
    }
  }
  tolerations(spec["tolerations"], path, errors);
}

void gates_update(const Value& spec, const Value& old, ErrorList& errors) {
  Path path = Path("spec") / "schedulingGates";
  size_t i = 0;
  for (const Value& gate : spec["schedulingGates"].elements()) {
    Path at = path[i++] / "name";
    bool had = false;
    for (const Value& other : old["schedulingGates"].elements()) {
      had |= other["name"] == gate["name"];
    }
    if (!had) {
      errors.forbidden(at, "only deletion is allowed, but found new scheduling gate '" +
                               gate["name"].text() + "'");
    }
  }
}

// False when the rest is not looked at.
bool deadline_update(const Value& spec, const Value& old, ErrorList& errors) {
  const Value& now = spec["activeDeadlineSeconds"];
  const Value& before = old["activeDeadlineSeconds"];
  Path path = Path("spec") / "activeDeadlineSeconds";
  if (now.is_null()) {
    if (!before.is_null()) {
      errors.invalid(path, now, "must not update from a positive integer to nil value");
    }
    return true;
  }
  if (now.as_int() < 0 || now.as_int() > 2147483647) {
    errors.invalid(path, now, "must be between 0 and 2147483647, inclusive");
    return false;
  }
  if (!before.is_null() && before.as_int() < now.as_int()) {
    errors.invalid(path, now, "must be less than or equal to previous value");
    return false;
  }
  return true;
}

bool containers_update(const Value& spec, const Value& old, ErrorList& errors) {
  for (const char* list : {"containers", "initContainers"}) {
    Path path = Path("spec") / list;
    if (spec[list].size() != old[list].size()) {
      errors.forbidden(path, "pod updates may not add or remove containers");
      return false;
    }
    size_t i = 0;
    for (const Value& container : spec[list].elements()) {
      image_name(container["image"], path[i++] / "image", errors);
    }
  }
  return true;
}

void tokens_need_account(const Value& spec, ErrorList& errors) {
  if (!spec["serviceAccountName"].as_string().empty()) return;
  size_t i = 0;
  for (const Value& volume : spec["volumes"].elements()) {
    Path path = (Path("spec") / "volumes")[i++] / "projected" / "sources";
    size_t j = 0;
    for (const Value& source : volume["projected"]["sources"].elements()) {
      Path at = path[j++] / "serviceAccountToken";
      if (!source["serviceAccountToken"].is_null()) {
        errors.forbidden(at, "must not be specified when serviceAccountName is not set");
      }
    }
  }
}

bool has_outer_space(std::string_view text) {
  constexpr std::string_view kSpace = " \t\n\v\f\r";
  return !text.empty() && (kSpace.find(text.front()) != std::string_view::npos ||
                           kSpace.find(text.back()) != std::string_view::npos);
}

void trimmed_images(const Value& spec, ErrorList& errors) {
  for (const char* list : {"containers", "initContainers"}) {
    size_t i = 0;
    for (const Value& container : spec[list].elements()) {
      Path at = (Path("spec") / list)[i++] / "image";
      if (has_outer_space(container["image"].as_string())) {
        errors.invalid(at, container["image"], "must not have leading or trailing whitespace");
      }
    }
  }
}

constexpr std::string_view kSeccompPod = "seccomp.security.alpha.kubernetes.io/pod";
constexpr std::string_view kSeccompContainer = "container.seccomp.security.alpha.kubernetes.io/";
constexpr std::string_view kLocalProfile = "localhost/";

void seccomp_annotation(std::string_view profile, const Path& path, ErrorList& errors) {
  if (contains({"runtime/default", "docker/default", "unconfined"}, profile)) return;
  if (profile.substr(0, kLocalProfile.size()) == kLocalProfile) {
    return local_descending_path(profile.substr(kLocalProfile.size()), path, errors);
  }
  errors.invalid(path, profile, "must be a valid seccomp profile");
}

bool has_container(const Value& spec, std::string_view name) {
  for (const char* list : {"initContainers", "containers", "ephemeralContainers"}) {
    for (const Value& c : spec[list].elements()) {
      if (c["name"].as_string() == name) return true;
    }
  }
  return false;
}

}  // namespace

void image_name(const Value& image, const Path& path, ErrorList& errors) {
  if (image.as_string().empty()) errors.required(path);
  if (has_outer_space(image.as_string())) {
    errors.invalid(path, image, "must not have leading or trailing whitespace");
  }
}

void pod_annotations(const Value& all, const Value& spec, const Path& path, ErrorList& errors) {
  const Value* mirror = all.find(kMirror);
  if (mirror != nullptr && spec["nodeName"].as_string().empty()) {
    errors.invalid(path.key(kMirror), *mirror,
                   "must set spec.nodeName if mirror pod annotation is set");
  }
  constexpr const char* kCost = "controller.kubernetes.io/pod-deletion-cost";
  const Value* cost = all.find(kCost);
  if (cost != nullptr && !is_int32(cost->as_string())) {
    errors.invalid(path.key(kCost), *cost, "must be a 32bit integer");
  }
  const Value* seccomp = all.find(kSeccompPod);
  if (seccomp != nullptr) seccomp_annotation(seccomp->as_string(), path / kSeccompPod, errors);
  for (auto [key, value] : all.members()) {
    if (key.substr(0, kSeccompContainer.size()) == kSeccompContainer) {
      seccomp_annotation(value.as_string(), path / key, errors);
    }
  }
  for (auto [key, value] : all.members()) {
    if (key.substr(0, kAppArmor.size()) != kAppArmor) continue;
    std::string_view name = key.substr(kAppArmor.size());
    if (!has_container(spec, name)) errors.invalid(path.key(key), name, "container not found");
    std::string_view profile = value.as_string();
    bool known = profile.empty() || profile == "runtime/default" || profile == "unconfined" ||
                 profile.substr(0, kLocalProfile.size()) == kLocalProfile;
    if (!known) {
      errors.invalid(path.key(key), profile, "invalid AppArmor profile name: " + go_quote(profile));
    }
  }
}

void pod_annotations_update(const Value& pod, const Value& old, ErrorList& errors) {
  const Value& now = pod["metadata"]["annotations"];
  const Value& before = old["metadata"]["annotations"];
  auto is_app_armor = [](std::string_view key) {
    return key.substr(0, kAppArmor.size()) == kAppArmor;
  };
  for (auto [key, value] : before.members()) {
    if (now.has(key) && now[key] == value) continue;
    Path at = kAnnotations.key(key);
    if (is_app_armor(key)) errors.forbidden(at, "may not remove or update AppArmor annotations");
    if (key == kMirror) errors.forbidden(at, "may not remove or update mirror pod annotation");
  }
  for (auto [key, value] : now.members()) {
    if (before.has(key)) continue;
    Path at = kAnnotations.key(key);
    if (is_app_armor(key)) errors.forbidden(at, "may not add AppArmor annotations");
    if (key == kMirror) errors.forbidden(at, "may not add mirror pod annotation");
  }
  pod_annotations(now, pod["spec"], kAnnotations, errors);
}

void pod_whole(const Value& pod, ErrorList& errors) {
  const Value& spec = pod["spec"];
  pod_annotations(pod["metadata"]["annotations"], spec, kAnnotations, errors);
  pod_spec(spec, pod["metadata"], Path("spec"), errors);
  tokens_need_account(spec, errors);
  trimmed_images(spec, errors);
}

bool is_mirror_pod(const Value& pod) { return pod["metadata"]["annotations"].has(kMirror); }

void pod_create(const Value& pod, ErrorList& errors) {
  pod_whole(pod, errors);
  const Value& spec = pod["spec"];
  if (!spec["ephemeralContainers"].empty()) {
    errors.forbidden(Path("spec") / "ephemeralContainers", "cannot be set on create");
  }
  if (!spec["schedulingGates"].empty() && !spec["nodeName"].as_string().empty()) {
    errors.forbidden(Path("spec") / "nodeName",
                     "cannot be set until all schedulingGates have been cleared");
  }
}

void pod_update(const Value& pod, const Value& old, ErrorList& errors) {
  const Value& spec = pod["spec"];
  const Value& before = old["spec"];
  metadata_again(pod, true, errors);
  pod_whole(pod, errors);
  pod_annotations_update(pod, old, errors);
  if (!containers_update(spec, before, errors) || !deadline_update(spec, before, errors)) return;
  only_more_tolerations(spec, before, errors);
  gates_update(spec, before, errors);
  if (spec == before) return;
  Value compared = masked(spec, before, errors);
  if (compared == before) return;
  errors.forbidden(Path("spec"),
                   std::string(kFixed) + value_diff(internal_value("", "v1", "PodSpec", before),
                                                    internal_value("", "v1", "PodSpec", compared)));
}

}  // namespace knarr::api::rules
