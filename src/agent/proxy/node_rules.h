// The iptables rules of every IP family that the cluster has, for who has rules for each. Loop
// thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "agent/proxy/iptables.h"

namespace knarr::agent {

class NodeRules {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): a cluster of one family is the usual case
  NodeRules(Iptables& only) : families_({&only}) {}
  explicit NodeRules(std::vector<Iptables*> families) : families_(std::move(families)) {}

  const std::string& prefix() const { return families_[0]->prefix(); }
  std::string masquerade_mark() const { return families_[0]->masquerade_mark(); }
  std::string policy_mark() const { return families_[0]->policy_mark(); }

  // `done` when the kernel has the rules of all families, or with the first error.
  void set(RulePart part, const std::function<RuleSet(bool v6)>& render,
           Iptables::Done done = {}) const;
  // The same of some pieces of the part.
  void change(RulePart part, const std::function<Iptables::Pieces(bool v6)>& render,
              Iptables::Done done = {}) const;
  // The families, in their order: whether each is IPv6.
  std::vector<bool> families() const;

 private:
  std::vector<Iptables*> families_;
};

}  // namespace knarr::agent
