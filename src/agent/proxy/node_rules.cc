#include "agent/proxy/node_rules.h"

#include <memory>

namespace knarr::agent {

void NodeRules::set(RulePart part, const std::function<RuleSet(bool v6)>& render,
                    Iptables::Done done) const {
  auto one = [&render](bool v6) {
    Iptables::Pieces pieces;
    pieces[""] = render(v6);
    return pieces;
  };
  change(part, one, std::move(done));
}

void NodeRules::change(RulePart part, const std::function<Iptables::Pieces(bool v6)>& render,
                       Iptables::Done done) const {
  struct Wait {
    size_t left;
    Result<void> result;
    Iptables::Done done;
  };
  auto wait = std::make_shared<Wait>(Wait{families_.size(), {}, std::move(done)});
  for (Iptables* iptables : families_) {
    Iptables::Done one;
    if (wait->done) {
      one = [wait](Result<void> result) {
        if (wait->result.ok() && !result.ok()) wait->result = std::move(result);
        if (--wait->left == 0) wait->done(wait->result);
      };
    }
    iptables->change(part, render(iptables->v6()), std::move(one));
  }
}

std::vector<bool> NodeRules::families() const {
  std::vector<bool> out;
  for (const Iptables* iptables : families_) out.push_back(iptables->v6());
  return out;
}

}  // namespace knarr::agent
