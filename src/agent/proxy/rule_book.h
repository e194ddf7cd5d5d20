// The rules that are wanted, in pieces: whoever has rules for a chain puts a piece, and the chain
// holds what its pieces say, in their order. Knows which chains have changed, so that among ten
// thousand services one that changes costs what one costs. Pure.
#pragma once

#include <compare>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/proxy/rule_set.h"

namespace knarr::agent {

// By part, then by name: so stand their rules in a chain.
struct RulePiece {
  int part = 0;
  std::string name;
  auto operator<=>(const RulePiece&) const = default;
};

// Table -> names of chains of it.
using ChainNames = std::map<std::string, std::set<std::string>>;

class RuleBook {
 public:
  // Instead of what the piece was; without rules it is none.
  void put(const RulePiece& piece, RuleSet rules);

  RuleSet all() const;

  // Of the tables that are touched: the chains that are not as they were when this was asked last,
  // with what they hold now (those that are not in `rules` have ended), and all jumps.
  struct Change {
    ChainNames chains;
    RuleSet rules;
  };
  Change take_change();

 private:
  using Place = std::pair<std::string, std::string>;  // table, chain
  struct Table {
    std::map<std::string, std::map<RulePiece, std::string>> chains;
    std::map<RulePiece, std::vector<Jump>> jumps;
  };
  void put_jumps(const RulePiece& piece, const RuleSet& rules);
  void add_chain(const std::string& table, const std::string& chain, RuleSet& out) const;
  void add_jumps(const std::string& table, RuleSet& out) const;

  std::map<std::string, Table> tables_;
  std::map<RulePiece, std::vector<Place>> places_;
  ChainNames changed_;
};

// What is known of these chains, and of the jumps in their tables.
KernelRules known_of(const KernelRules& kernel, const ChainNames& chains);
// The same is so from now on.
void learn(KernelRules& kernel, const ChainNames& chains, KernelRules now);

}  // namespace knarr::agent
