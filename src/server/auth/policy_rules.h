// The arithmetic of RBAC rules: what one allows, whether some cover others, how they are read and
// told. Pure.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "server/auth/auth.h"

namespace knarr::server {

// The `rules` of a Role or ClusterRole, and their form in one.
std::vector<PolicyRule> read_rules(const json::Value& rules);
json::Value rules_json(const std::vector<PolicyRule>& rules);

bool rule_allows(const PolicyRule& rule, const Attributes& attributes);

// What `wanted` allows and `held` does not, taken apart into rules of one group, resource, verb and
// name; empty when `held` covers all of it.
std::vector<PolicyRule> uncovered(const std::vector<PolicyRule>& held,
                                  const std::vector<PolicyRule>& wanted);

// The refusal of somebody who would grant what they do not hold; "" when they hold it all.
std::string escalation(const UserInfo& user, const AccessRules& held,
                       const std::vector<PolicyRule>& wanted);

}  // namespace knarr::server
