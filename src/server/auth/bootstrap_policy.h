// The roles and bindings every cluster begins with, as data, and the objects made of them.
//
// Lines: `role [NAMESPACE/]NAME [+LABEL] [<LABEL]` (+: it is aggregated into the roles that select
// the label, <: it is made of those that carry it), then its rules, indented by two:
// `VERBS GROUPS RESOURCES [named NAMES]` or `VERBS PATHS`, lists with commas, the core group as
// "core". `bind [NAMESPACE/]NAME KIND ROLE SUBJECT...` with subjects user:, group: and
// account:NAMESPACE/. Six spaces go on with the line before. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "server/auth/auth.h"

namespace knarr::server {

extern const char* const kBootstrapRoles;
extern const char* const kBootstrapControllerRoles;
extern const char* const kMetricsRoles;  // where metrics.k8s.io is served

struct BootstrapObject {
  std::string resource;  // "clusterroles", "clusterrolebindings", "roles", "rolebindings"
  json::Value object;
};

// Roles before the bindings that name them, those of the cluster before those of namespaces.
std::vector<BootstrapObject> bootstrap_policy(bool metrics = false);
std::vector<PolicyRule> bootstrap_rules(std::string_view cluster_role);

// What must become of an object of the policy that is there already, as it is wanted: rules,
// subjects, labels and annotations are added, none is taken away. Null: nothing, be it that all is
// there or that the object is annotated to be left alone. `replace` is set when the binding is of
// another role, and so must be made anew.
json::Value reconciled_policy(const json::Value& there, const json::Value& wanted, bool& replace);

}  // namespace knarr::server
