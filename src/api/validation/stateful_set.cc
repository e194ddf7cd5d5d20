// Stateful sets.
#include <set>

#include "api/validation/internal.h"
#include "api/validation/storage.h"
#include "api/validation/workload.h"

namespace knarr::api::rules {
namespace {

struct Leniency {
  bool service_name = false;  // what cannot change is not held against an update
  bool pod_template = false;
  bool claims = false;
};

void update_strategy(const Value& strategy, const Path& path, ErrorList& errors) {
  std::string_view type = strategy["type"].as_string();
  const Value& rolling = strategy["rollingUpdate"];
  Path at = path / "rollingUpdate";
  if (type.empty()) {
    errors.required(path);
  } else if (type == "OnDelete") {
    if (!rolling.is_null()) {
      errors.invalid(at, internal_value("apps", "v1", "RollingUpdateStatefulSetStrategy", rolling),
                     "only allowed for updateStrategy 'RollingUpdate'");
    }
  } else if (type == "RollingUpdate") {
    not_negative(rolling["partition"], at / "partition", errors);
    const Value& unavailable = rolling["maxUnavailable"];
    if (unavailable.is_null()) return;
    int_or_percent(unavailable, at / "maxUnavailable", errors);
    if (is_none(unavailable)) errors.invalid(at / "maxUnavailable", unavailable, "cannot be 0");
    not_above_all(unavailable, at / "maxUnavailable", errors);
  } else {
    errors.invalid(path, internal_value("apps", "v1", "StatefulSetUpdateStrategy", strategy),
                   "must be 'RollingUpdate' or 'OnDelete'");
  }
}

// The template as its pods will be: with the volumes of the claims, names set by the controller.
Value pods_template(const Value& spec) {
  Value out = spec["template"];
  Value& pod = out.member("spec");
  pod.erase("subdomain");
  pod.erase("hostname");
  const Value& claims = spec["volumeClaimTemplates"];
  if (claims.empty()) return out;
  Value volumes = Value::array();
  std::set<std::string_view> names;
  for (const Value& claim : claims.elements()) {
    const Value& name = claim["metadata"]["name"];
    if (!names.insert(name.as_string()).second) continue;
    volumes.push_back(Value::object(
        {{"name", name}, {"persistentVolumeClaim", Value::object({{"claimName", name}})}}));
  }
  for (const Value& volume : pod["volumes"].elements()) {
    if (!names.contains(volume["name"].as_string())) volumes.push_back(volume);
  }
  pod.set("volumes", std::move(volumes));
  return out;
}

void template_of(const Value& spec, const Leniency& lenient, const Path& path, ErrorList& errors) {
  Value shaped = pods_template(spec);
  must_match_template(spec["selector"], shaped, path, errors);
  if (!lenient.pod_template) pod_template(shaped, path, errors);
  const Value& meta = shaped["metadata"];
  validate_labels(meta["labels"], path / "labels", errors);
  validate_annotations(meta["annotations"], path / "annotations", errors);
  pod_annotations(meta["annotations"], shaped["spec"], path / "annotations", errors);
}

void set_spec(const Value& spec, const Leniency& lenient, ErrorList& errors) {
  Path path("spec");
  const Value& management = spec["podManagementPolicy"];
  if (management.as_string().empty()) {
    errors.required(path / "podManagementPolicy");
  } else if (!contains({"OrderedReady", "Parallel"}, management.as_string())) {
    errors.invalid(path / "podManagementPolicy", management,
                   "must be 'OrderedReady' or 'Parallel'");
  }
  update_strategy(spec["updateStrategy"], path / "updateStrategy", errors);
  const Value& retention = spec["persistentVolumeClaimRetentionPolicy"];
  for (const char* member : {"whenDeleted", "whenScaled"}) {
    if (retention.is_null() || contains({"Retain", "Delete"}, retention[member].as_string()))
      continue;
    errors.not_supported(path / "persistentVolumeClaimRetentionPolicy" / member,
                         retention[member].as_string(), {"Retain", "Delete"});
  }
  size_t i = 0;
  for (const Value& claim : spec["volumeClaimTemplates"].elements()) {
    if (!lenient.claims) {
      claim_spec(claim["spec"], (path / "volumeClaimTemplates")[i++] / "spec", errors);
    }
  }
  not_negative(spec["replicas"], path / "replicas", errors);
  not_negative(spec["minReadySeconds"], path / "minReadySeconds", errors);
  not_negative(spec["ordinals"]["start"], path / "ordinals.start", errors);
  if (!lenient.service_name && !spec["serviceName"].as_string().empty()) {
    dns_label(spec["serviceName"], path / "serviceName", errors);
  }
  if (workload_selector(spec["selector"], "statefulset", "", path / "selector", errors)) {
    template_of(spec, lenient, path / "template", errors);
  }
  only_restart_always(spec["template"], "StatefulSet", path / "template", errors);
}

}  // namespace

void stateful_set(const Value& object, ErrorList& errors) { set_spec(object["spec"], {}, errors); }

void stateful_set_update(const Value& object, const Value& old, ErrorList& errors) {
  Leniency lenient{true, false, true};
  ErrorList before;
  set_spec(old["spec"], lenient, before);
  lenient.pod_template = !before.empty();
  set_spec(object["spec"], lenient, errors);
  Value now = object["spec"];
  for (const char* member :
       {"replicas", "template", "updateStrategy", "minReadySeconds", "ordinals",
        "persistentVolumeClaimRetentionPolicy", "revisionHistoryLimit"}) {
    if (old["spec"].has(member)) {
      now.set(member, old["spec"][member]);
    } else {
      now.erase(member);
    }
  }
  if (!(now == old["spec"])) {
    errors.forbidden(Path("spec"),
                     "updates to statefulset spec for fields other than 'replicas', 'ordinals', "
                     "'template', 'updateStrategy', 'revisionHistoryLimit', "
                     "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden");
  }
}

}  // namespace knarr::api::rules
