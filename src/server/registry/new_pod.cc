#include "server/registry/new_pod.h"

#include "api/validation/app_armor.h"
#include "base/format.h"

namespace knarr::server {
namespace {

void add_expressions(json::Value& selector, const json::Value& keys, const char* op,
                     const json::Value& labels) {
  for (const json::Value& key : keys.elements()) {
    const json::Value* value = labels.find(key.as_string());
    if (value == nullptr) continue;
    json::Value& list = selector.member("matchExpressions");
    if (!list.is_array()) list = json::Value::array();
    list.push_back(json::Value::object(
        {{"key", key}, {"operator", op}, {"values", json::Value::array({*value})}}));
  }
}

// A term without a selector matches nothing anyway.
void apply_keys(json::Value& term, const json::Value& labels) {
  json::Value* selector = term.find("labelSelector");
  if (selector == nullptr || selector->is_null()) return;
  add_expressions(*selector, term["matchLabelKeys"], "In", labels);
  add_expressions(*selector, term["mismatchLabelKeys"], "NotIn", labels);
}

json::Value* path_to(json::Value& from, std::initializer_list<std::string_view> keys) {
  json::Value* at = &from;
  for (std::string_view key : keys) {
    at = at->find(key);
    if (at == nullptr) return nullptr;
  }
  return at;
}

}  // namespace

void apply_match_label_keys(json::Value& pod) {
  const json::Value labels = pod["metadata"]["labels"];
  for (const char* kind : {"podAffinity", "podAntiAffinity"}) {
    json::Value* affinity = path_to(pod, {"spec", "affinity", kind});
    if (affinity == nullptr) continue;
    if (json::Value* list = affinity->find("preferredDuringSchedulingIgnoredDuringExecution")) {
      for (json::Value& weighted : list->elements()) {
        json::Value* term = weighted.find("podAffinityTerm");
        if (term != nullptr) apply_keys(*term, labels);
      }
    }
    if (json::Value* list = affinity->find("requiredDuringSchedulingIgnoredDuringExecution")) {
      for (json::Value& term : list->elements()) apply_keys(term, labels);
    }
  }
  json::Value* spread = path_to(pod, {"spec", "topologySpreadConstraints"});
  if (spread == nullptr) return;
  for (json::Value& constraint : spread->elements()) apply_keys(constraint, labels);
}

void apply_app_armor(json::Value& pod, std::vector<std::string>& warnings) {
  const json::Value annotations = pod["metadata"]["annotations"];
  if (annotations.empty() || pod["spec"]["os"]["name"].as_string() == "windows") return;
  const json::Value whole = pod["spec"]["securityContext"]["appArmorProfile"];
  for (const char* name : {"initContainers", "containers", "ephemeralContainers"}) {
    json::Value* list = path_to(pod, {"spec", name});
    if (list == nullptr) continue;
    for (json::Value& c : list->elements()) {
      std::string key = api::app_armor_annotation(c["name"].as_string());
      const json::Value* annotation = annotations.find(key);
      if (annotation == nullptr || !c["securityContext"]["appArmorProfile"].is_null()) continue;
      json::Value profile = api::app_armor_profile(annotation->as_string());
      if (!profile.is_null() && profile == whole) continue;
      if (!profile.is_null()) {
        json::Value& context = c.member("securityContext");
        if (!context.is_object()) context = json::Value::object();
        context.set("appArmorProfile", std::move(profile));
      }
      warnings.push_back(fmt::format("metadata.annotations[{}]: {}", key, api::kUseAppArmorField));
    }
  }
}

}  // namespace knarr::server
