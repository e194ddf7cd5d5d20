#include "api/validation/validation.h"

#include "api/validation/rules.h"

namespace knarr::api {
namespace {

using rules::KindRules;

const KindRules kNoRules{};

const KindRules& rules_of(const ValidationTarget& target) {
  static constexpr std::span<const KindRules> (*kFamilies[])() = {
      rules::core_rules,   rules::workload_rules, rules::network_rules,   rules::storage_rules,
      rules::policy_rules, rules::cluster_rules,  rules::admission_rules,
  };
  for (auto family : kFamilies) {
    for (const KindRules& one : family()) {
      if (one.kind == target.kind && one.group == target.group) return one;
    }
  }
  return kNoRules;
}

// Kinds of the API server proper, as opposed to those of its extensions.
bool is_kube_kind(const ValidationTarget& target) {
  if (target.group.find('.') == std::string_view::npos) return true;
  constexpr std::string_view kSuffix = ".k8s.io";
  bool k8s = target.group.size() > kSuffix.size() &&
             target.group.substr(target.group.size() - kSuffix.size()) == kSuffix;
  return k8s && target.group != "apiextensions.k8s.io" && target.group != "apiregistration.k8s.io";
}

ErrorList metadata_update(const ValidationTarget& target, const json::Value& object,
                          const json::Value& old) {
  ErrorList errors;
  Path path("metadata");
  validate_metadata_update(object["metadata"], old["metadata"], path, errors);
  if (is_kube_kind(target)) {
    validate_kube_finalizers(object["metadata"]["finalizers"], path / "finalizers", errors);
  }
  return errors;
}

}  // namespace

ErrorList validate_create(const ValidationTarget& target, const json::Value& object) {
  const KindRules& rules = rules_of(target);
  ErrorList errors;
  Path path("metadata");
  ErrorList more_of_name;
  if (rules.full_name != nullptr) rules.full_name(object, more_of_name);
  validate_metadata(object["metadata"], target.namespaced, rules.name, more_of_name, path, errors);
  if (is_kube_kind(target)) {
    validate_kube_finalizers(object["metadata"]["finalizers"], path / "finalizers", errors);
  }
  if (rules.create != nullptr) rules.create(object, errors);
  return errors;
}

ErrorList validate_update(const ValidationTarget& target, const json::Value& object,
                          const json::Value& old) {
  const KindRules& rules = rules_of(target);
  ErrorList errors = metadata_update(target, object, old);
  if (rules.update != nullptr) {
    rules.update(object, old, errors);
  } else if (rules.create != nullptr) {
    rules.create(object, errors);
  }
  return errors;
}

ErrorList validate_status_update(const ValidationTarget& target, const json::Value& object,
                                 const json::Value& old) {
  const KindRules& rules = rules_of(target);
  ErrorList errors = metadata_update(target, object, old);
  if (rules.status != nullptr) rules.status(object, old, errors);
  return errors;
}

}  // namespace knarr::api
