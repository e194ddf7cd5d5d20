#include "agent/proxy/rule_set.h"

#include <openssl/sha.h>

#include <algorithm>
#include <functional>

#include "base/format.h"

namespace knarr::agent {

namespace {

constexpr size_t kMaxComment = 200;
constexpr int kHashCharacters = 13;

uint64_t digest(const std::string& content) {
  uint64_t h = std::hash<std::string>()(content);
  return h == 0 ? 1 : h;
}

bool is_ours(std::string_view chain, std::string_view prefix) {
  return chain.size() > prefix.size() && chain.starts_with(prefix) && chain[prefix.size()] == '-';
}

bool contains(const std::vector<Jump>& jumps, const Jump& jump) {
  return std::find(jumps.begin(), jumps.end(), jump) != jumps.end();
}

std::vector<Jump> of_chain(const std::vector<Jump>& jumps, const std::string& chain) {
  std::vector<Jump> out;
  for (const Jump& j : jumps) {
    if (j.chain == chain) out.push_back(j);
  }
  return out;
}

// The changes of one table, as lines in the order in which iptables-restore has to see them.
class TableChange {
 public:
  TableChange(const TableRules& desired, const KernelTable& kernel, bool keep_unknown)
      : desired_(desired), kernel_(kernel), keep_unknown_(keep_unknown) {}

  std::string text() {
    chains();
    std::set<std::string> built_in;
    for (const Jump& j : desired_.jumps) built_in.insert(j.chain);
    for (const Jump& j : kernel_.jumps) built_in.insert(j.chain);
    for (const std::string& chain : built_in) jumps(chain);
    return declared_ + removed_jumps_ + rules_ + added_jumps_ + removed_chains_;
  }

 private:
  // Declaring a chain that exists empties it.
  void chains() {
    for (const auto& [name, content] : desired_.chains) {
      auto it = kernel_.chains.find(name);
      if (it != kernel_.chains.end() && it->second == digest(content)) continue;
      declared_ += fmt::format(":{} - [0:0]\n", name);
      rules_ += content;
    }
    if (keep_unknown_) return;
    for (const auto& [name, content] : kernel_.chains) {
      if (desired_.chains.count(name) > 0) continue;
      declared_ += fmt::format(":{} - [0:0]\n", name);
      removed_chains_ += fmt::format("-X {}\n", name);
    }
  }

  // Jumps of one built-in chain are right as a whole or all made again, so that none is there twice
  // and their order holds.
  void jumps(const std::string& chain) {
    std::vector<Jump> wanted = of_chain(desired_.jumps, chain);
    std::vector<Jump> present = of_chain(kernel_.jumps, chain);
    if (keep_unknown_) {
      std::erase_if(present, [&](const Jump& j) { return !contains(wanted, j); });
    }
    if (wanted == present) return;
    for (const Jump& j : present) removed_jumps_ += fmt::format("-D {} {}\n", chain, j.rule);
    for (size_t i = wanted.size(); i-- > 0;) {
      added_jumps_ += fmt::format("-I {} 1 {}\n", chain, wanted[i].rule);
    }
  }

  const TableRules& desired_;
  const KernelTable& kernel_;
  bool keep_unknown_;
  std::string declared_, removed_jumps_, rules_, added_jumps_, removed_chains_;
};

template <typename Map>
const typename Map::mapped_type& entry(const Map& map, const std::string& key) {
  static const typename Map::mapped_type kEmpty{};
  auto it = map.find(key);
  return it == map.end() ? kEmpty : it->second;
}

// ":NAME POLICY [0:0]" and "-A CHAIN ... -j TARGET", as far as they concern us.
void read_line(std::string_view line, std::string_view prefix, KernelTable& table) {
  if (line.starts_with(":")) {
    std::string_view name = line.substr(1, line.find(' ') - 1);
    if (is_ours(name, prefix)) table.chains[std::string(name)] = 0;
    return;
  }
  if (!line.starts_with("-A ")) return;
  line.remove_prefix(3);
  size_t space = line.find(' ');
  size_t target = line.rfind("-j ");
  if (space == std::string_view::npos) return;
  std::string_view chain = line.substr(0, space);
  if (is_ours(chain, prefix)) table.counts[std::string(chain)]++;
  if (target == std::string_view::npos) return;
  std::string_view name = line.substr(target + 3);
  name = name.substr(0, name.find(' '));
  if (is_ours(chain, prefix) || !is_ours(name, prefix)) return;
  table.jumps.push_back({std::string(chain), std::string(line.substr(space + 1))});
}

}  // namespace

void RuleSet::rule(const std::string& table, const std::string& chain, std::string_view text) {
  std::string& rules = tables[table].chains[chain];
  rules += "-A ";
  rules += chain;
  rules += ' ';
  rules += text;
  rules += '\n';
}

KernelRules read_saved(std::string_view text, std::string_view prefix) {
  KernelRules out;
  KernelTable* table = nullptr;
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.starts_with("*")) {
      table = &out[std::string(line.substr(1))];
    } else if (table != nullptr) {
      read_line(line, prefix, *table);
    }
  }
  return out;
}

KernelRules confirmed(const KernelRules& believed, KernelRules read) {
  for (auto& [name, table] : read) {
    const KernelTable& before = entry(believed, name);
    for (auto& [chain, content] : table.chains) {
      auto it = before.chains.find(chain);
      if (it != before.chains.end() && entry(before.counts, chain) == entry(table.counts, chain)) {
        content = it->second;
      }
    }
  }
  return read;
}

KernelRules after_transaction(const RuleSet& desired, const KernelRules& kernel,
                              bool keep_unknown) {
  KernelRules out;
  for (const auto& [name, table] : desired.tables) {
    for (const auto& [chain, rules] : table.chains) {
      out[name].chains[chain] = digest(rules);
      out[name].counts[chain] = static_cast<size_t>(std::count(rules.begin(), rules.end(), '\n'));
    }
    out[name].jumps = table.jumps;
  }
  if (!keep_unknown) return out;
  for (const auto& [name, table] : kernel) {
    KernelTable& mine = out[name];
    for (const auto& [chain, content] : table.chains) mine.chains.try_emplace(chain, content);
    for (const auto& [chain, count] : table.counts) mine.counts.try_emplace(chain, count);
    std::vector<Jump> wanted = mine.jumps;
    for (const Jump& j : table.jumps) {
      if (!contains(wanted, j)) mine.jumps.push_back(j);
    }
  }
  return out;
}

std::string transaction(const RuleSet& desired, const KernelRules& kernel, bool keep_unknown) {
  std::set<std::string> names;
  for (const auto& [name, table] : desired.tables) names.insert(name);
  for (const auto& [name, table] : kernel) names.insert(name);
  std::string out;
  for (const std::string& name : names) {
    TableChange change(entry(desired.tables, name), entry(kernel, name), keep_unknown);
    std::string lines = change.text();
    if (!lines.empty()) out += fmt::format("*{}\n{}COMMIT\n", name, lines);
  }
  return out;
}

std::string hashed_chain(std::string_view prefix, std::string_view kind, std::string_view text) {
  static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  unsigned char hash[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), hash);
  std::string out = fmt::format("{}-{}-", prefix, kind);
  for (int i = 0; i < kHashCharacters; i++) {  // 5 bits a character, from the first bit on
    int bit = i * 5;
    int two_bytes = hash[bit / 8] << 8 | hash[bit / 8 + 1];
    out += kAlphabet[two_bytes >> (11 - bit % 8) & 31];
  }
  return out;
}

std::string comment(std::string_view text) {
  std::string out;
  for (char c : text.substr(0, kMaxComment)) {
    if (c >= ' ' && c < 127 && c != '"' && c != '\\') out += c;
  }
  return fmt::format("-m comment --comment \"{}\"", out);
}

}  // namespace knarr::agent
