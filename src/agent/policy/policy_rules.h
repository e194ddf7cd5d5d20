// The rules that enforce NetworkPolicies on the pods of one node: a pure function.
//
//   filter: FORWARD -> POLICY -> PE-x (what a pod sends), PI-x (what it gets), for pods that are
//                                selected by a policy of that direction
//             PE-x, PI-x -> NPE-x, NPI-x (a policy) -> PD-x, PS-x (destinations, sources)
//                                                        -> PB-x (a block with exceptions)
//
// Pods' packets are all routed by the host (network/links.h), so all of them pass FORWARD. What the
// node itself sends to its pods or gets from them does not, and is always let through. A policy's
// chain sets a bit of the packet's mark to say yes; without it the packet ends. POLICY only ever
// refuses: what it lets pass goes on to the rules of others, and established flows pass it first.
#pragma once

#include <string>

#include "agent/policy/policy_view.h"
#include "agent/proxy/rule_set.h"

namespace knarr::agent {

struct PolicyRulesConfig {
  std::string prefix = "KNARR";
  std::string node_name;
  std::string mark = "0x8000/0x8000";  // the bit that says yes
  bool v6 = false;
};

// Empty when no policy selects a pod of this node.
RuleSet policy_rules(const PolicyState& state, const PolicyRulesConfig& config);

// Whether any policy selects this pod.
bool is_selected(const PolicyState& state, const NamespacedName& name, const PolicyPod& pod);

}  // namespace knarr::agent
