// Rules of iptables as data: chains of our own, and the jumps to them from the kernel's built-in
// chains; and the text that brings the kernel from what it has to what it should have, as one
// iptables-restore --noflush transaction. Pure.
//
// All our chains begin with "<prefix>-": that is how they are found again after a crash, and the
// only ones that are ever touched. Chain names have at most 28 bytes.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace knarr::agent {

// A rule of a built-in chain that leads to one of ours: {"FORWARD", "-j KNARR-FORWARD"}.
struct Jump {
  std::string chain;
  std::string rule;
  auto operator<=>(const Jump&) const = default;
};

struct TableRules {
  std::map<std::string, std::string> chains;  // name -> its rules, a "-A name ..." line each
  std::vector<Jump> jumps;                    // of one built-in chain: in this order, before others
};

struct RuleSet {
  std::map<std::string, TableRules> tables;  // "nat", "filter"

  void chain(const std::string& table, const std::string& name) { tables[table].chains[name]; }
  void rule(const std::string& table, const std::string& chain, std::string_view text);
  void jump(const std::string& table, const std::string& from, std::string_view rule) {
    tables[table].jumps.push_back({from, std::string(rule)});
  }
};

// What the kernel has of ours. A chain whose content is not known has the digest 0.
struct KernelTable {
  std::map<std::string, uint64_t> chains;
  std::map<std::string, size_t> counts;  // of rules, by chain
  std::vector<Jump> jumps;
};
using KernelRules = std::map<std::string, KernelTable>;

// From the output of iptables-save.
KernelRules read_saved(std::string_view text, std::string_view prefix);
// What was read, with the digests of chains that are as they were believed to be: that have as many
// rules as that.
KernelRules confirmed(const KernelRules& believed, KernelRules read);
// What it has once the transaction of these is done.
KernelRules after_transaction(const RuleSet& desired, const KernelRules& kernel, bool keep_unknown);

// Input of iptables-restore --noflush; empty when nothing is to be done. With `keep_unknown` chains
// and jumps of ours that are not desired stay: their owner has not spoken yet.
std::string transaction(const RuleSet& desired, const KernelRules& kernel, bool keep_unknown);

// "<prefix>-<kind>-<13 characters that stand for the text>"
std::string hashed_chain(std::string_view prefix, std::string_view kind, std::string_view text);

// Text for a rule's comment: what could end the quotes is left out, 200 bytes at most.
std::string comment(std::string_view text);

}  // namespace knarr::agent
