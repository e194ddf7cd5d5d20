#include "agent/proxy/rule_book.h"

namespace knarr::agent {

namespace {

bool has(const RuleSet& rules, const std::string& table, const std::string& chain) {
  auto it = rules.tables.find(table);
  return it != rules.tables.end() && it->second.chains.count(chain) > 0;
}

}  // namespace

void RuleBook::put(const RulePiece& piece, RuleSet rules) {
  put_jumps(piece, rules);
  std::vector<Place> places;
  for (const auto& [table, chain] : places_[piece]) {
    if (has(rules, table, chain)) continue;
    auto& chains = tables_[table].chains;
    auto at = chains.find(chain);
    at->second.erase(piece);
    if (at->second.empty()) chains.erase(at);
    changed_[table].insert(chain);
  }
  for (auto& [table, wanted] : rules.tables) {
    for (auto& [chain, text] : wanted.chains) {
      places.emplace_back(table, chain);
      auto [at, added] = tables_[table].chains[chain].try_emplace(piece);
      if (!added && at->second == text) continue;
      at->second = std::move(text);
      changed_[table].insert(chain);
    }
  }
  if (places.empty()) {
    places_.erase(piece);
  } else {
    places_[piece] = std::move(places);
  }
}

void RuleBook::put_jumps(const RulePiece& piece, const RuleSet& rules) {
  for (auto& [name, table] : tables_) {
    auto wanted = rules.tables.find(name);
    bool none = wanted == rules.tables.end() || wanted->second.jumps.empty();
    if (none && table.jumps.erase(piece) > 0) changed_[name];
  }
  for (const auto& [name, table] : rules.tables) {
    if (table.jumps.empty()) continue;
    auto& mine = tables_[name].jumps[piece];
    if (mine == table.jumps) continue;
    mine = table.jumps;
    changed_[name];
  }
}

void RuleBook::add_chain(const std::string& table, const std::string& chain, RuleSet& out) const {
  const auto& chains = tables_.at(table).chains;
  auto at = chains.find(chain);
  if (at == chains.end()) return;
  std::string& text = out.tables[table].chains[chain];
  for (const auto& [piece, rules] : at->second) text += rules;
}

void RuleBook::add_jumps(const std::string& table, RuleSet& out) const {
  auto& jumps = out.tables[table].jumps;
  for (const auto& [piece, list] : tables_.at(table).jumps) {
    jumps.insert(jumps.end(), list.begin(), list.end());
  }
}

RuleSet RuleBook::all() const {
  RuleSet out;
  for (const auto& [name, table] : tables_) {
    for (const auto& [chain, pieces] : table.chains) add_chain(name, chain, out);
    add_jumps(name, out);
  }
  return out;
}

RuleBook::Change RuleBook::take_change() {
  Change change;
  change.chains = std::exchange(changed_, {});
  for (const auto& [table, chains] : change.chains) {
    for (const std::string& chain : chains) add_chain(table, chain, change.rules);
    add_jumps(table, change.rules);
  }
  return change;
}

KernelRules known_of(const KernelRules& kernel, const ChainNames& chains) {
  KernelRules out;
  for (const auto& [name, some] : chains) {
    auto table = kernel.find(name);
    if (table == kernel.end()) continue;
    KernelTable& mine = out[name];
    mine.jumps = table->second.jumps;
    for (const std::string& chain : some) {
      auto known = table->second.chains.find(chain);
      if (known == table->second.chains.end()) continue;
      mine.chains.insert(*known);
      auto count = table->second.counts.find(chain);
      if (count != table->second.counts.end()) mine.counts.insert(*count);
    }
  }
  return out;
}

void learn(KernelRules& kernel, const ChainNames& chains, KernelRules now) {
  for (const auto& [name, some] : chains) {
    KernelTable& table = kernel[name];
    for (const std::string& chain : some) {
      table.chains.erase(chain);
      table.counts.erase(chain);
    }
    KernelTable& is = now[name];
    table.chains.merge(is.chains);
    table.counts.merge(is.counts);
    table.jumps = std::move(is.jumps);
  }
}

}  // namespace knarr::agent
