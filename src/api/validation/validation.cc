#include "api/validation/validation.h"

#include "api/validation/rules.h"

namespace knarr::api {
namespace {

using rules::KindRules;

const KindRules kNoRules{};

const KindRules& rules_of(const ValidationTarget& target) {
  static constexpr std::span<const KindRules> (*kFamilies[])() = {
      rules::core_rules,   rules::workload_rules, rules::network_rules,   rules::storage_rules,
      rules::policy_rules, rules::cluster_rules,  rules::admission_rules, rules::device_rules,
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

const Path kMetadata("metadata");

bool needs_prefix(const ValidationTarget& target, const KindRules& rules) {
  return is_kube_kind(target) && (rules.shape & rules::kPlainFinalizers) == 0;
}

// What every kind asks of metadata in an update, whatever its own rules.
ErrorList common_update(const ValidationTarget& target, const json::Value& object,
                        const json::Value& old) {
  ErrorList errors;
  validate_metadata(object["metadata"], target.namespaced, name_is_path_segment, {}, kMetadata,
                    errors);
  validate_metadata_update(object["metadata"], old["metadata"], kMetadata, errors);
  return errors;
}

void metadata_update(const ValidationTarget& target, const KindRules& rules,
                     const json::Value& object, const json::Value& old, ErrorList& errors) {
  validate_metadata_update(object["metadata"], old["metadata"], kMetadata, errors);
  if (needs_prefix(target, rules)) {
    validate_kube_finalizers(object["metadata"]["finalizers"], kMetadata / "finalizers", errors);
  }
}

// What the kind asks of a new object.
void own_create(const ValidationTarget& target, const KindRules& rules, const json::Value& object,
                ErrorList& errors) {
  if ((rules.shape & rules::kNoMetadata) != 0) {
    if (rules.create != nullptr) rules.create(object, errors);
    return;
  }
  ErrorList more_of_name;
  if (rules.full_name != nullptr) rules.full_name(object, more_of_name);
  const json::Value& meta = object["metadata"];
  bool skip_generate = (rules.shape & rules::kNoGenerateName) != 0;
  if (skip_generate && meta.has("generateName")) {
    json::Value bare = meta;
    bare.erase("generateName");
    validate_metadata(bare, target.namespaced, rules.name, more_of_name, kMetadata, errors);
  } else {
    validate_metadata(meta, target.namespaced, rules.name, more_of_name, kMetadata, errors);
  }
  if (needs_prefix(target, rules)) {
    validate_kube_finalizers(meta["finalizers"], kMetadata / "finalizers", errors);
  }
  if (rules.create != nullptr) rules.create(object, errors);
}

}  // namespace

ErrorList validate_create(const ValidationTarget& target, const json::Value& object) {
  ErrorList errors;
  own_create(target, rules_of(target), object, errors);
  if (errors.empty()) {
    validate_metadata(object["metadata"], target.namespaced, name_is_path_segment, {}, kMetadata,
                      errors);
  }
  return errors;
}

ErrorList validate_update(const ValidationTarget& target, const json::Value& object,
                          const json::Value& old) {
  const KindRules& rules = rules_of(target);
  ErrorList errors = common_update(target, object, old);
  if ((rules.shape & rules::kCreateFirst) != 0) own_create(target, rules, object, errors);
  if ((rules.shape & (rules::kNoMetaUpdate | rules::kNoMetadata)) == 0) {
    metadata_update(target, rules, object, old, errors);
  }
  if (rules.update != nullptr) {
    rules.update(object, old, errors);
  } else if (rules.create != nullptr &&
             (rules.shape & (rules::kCreateFirst | rules::kCreateLast)) == 0) {
    rules.create(object, errors);
  }
  if ((rules.shape & rules::kCreateLast) != 0) own_create(target, rules, object, errors);
  return errors;
}

ErrorList validate_status_update(const ValidationTarget& target, const json::Value& object,
                                 const json::Value& old) {
  const KindRules& rules = rules_of(target);
  ErrorList errors = common_update(target, object, old);
  bool last = (rules.shape & rules::kStatusMetaLast) != 0;
  bool own_meta = (rules.shape & rules::kStatusNoMeta) == 0;
  if (own_meta && !last) metadata_update(target, rules, object, old, errors);
  if (rules.status != nullptr) rules.status(object, old, errors);
  if (own_meta && last) metadata_update(target, rules, object, old, errors);
  return errors;
}

ErrorList validate_subresource(const ValidationTarget& target, std::string_view subresource,
                               const json::Value& object, const json::Value& old) {
  const KindRules& rules = rules_of(target);
  if (subresource == "scale") {
    ErrorList errors;
    rules::scale(object, errors);
    return errors;
  }
  ErrorList errors = common_update(target, object, old);
  metadata_update(target, rules, object, old, errors);
  rules::subresource(target.kind, subresource, object, old, errors);
  return errors;
}

}  // namespace knarr::api
