// The one writer of this server's iptables rules of one IP family. Parts of the agent say what they
// want, it brings the kernel there: one `iptables-restore --noflush` for all that changed since the
// last, run by a worker thread. Works with iptables-nft and iptables-legacy. IPv6 has its own
// (ip6tables).
//
//   kIdle -> kReading (what an earlier process left, once, and after a failure) -> kApplying
//     -> kIdle, or again when parts changed meanwhile; a failure waits, then reads anew
//
// Rules of ours that others take away come back: with iptables-nft as soon as the kernel tells,
// with iptables-legacy at the next change that comes half a minute later.
//
// Loop thread.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agent/proxy/rule_book.h"
#include "agent/proxy/rule_monitor.h"
#include "agent/proxy/rule_set.h"
#include "base/worker.h"
#include "knarr/clock.h"
#include "knarr/result.h"

namespace knarr::agent {

// In the order in which packets meet them.
enum class RulePart { kBase, kPolicy, kServices, kHostPorts, kNetwork };

struct IptablesOptions {
  std::string prefix = "KNARR";  // at most 10 capital letters and digits; one for each server
  int masquerade_bit = 14;       // of the packet mark
  // Whose rules will come: until all have, chains that nobody named are left alone, since they may
  // be theirs, of the process before.
  std::set<RulePart> expected = {RulePart::kServices, RulePart::kNetwork};
  int policy_bit = 15;  // of the packet mark
  bool v6 = false;
  int refusal_bit = 12;  // of the packet mark
};

class Iptables {
 public:
  Iptables(base::Loop& loop, IptablesOptions options);
  ~Iptables();

  const std::string& prefix() const { return options_.prefix; }
  bool v6() const { return options_.v6; }
  // "<prefix>-MARK-MASQ": a chain of table nat; what jumped there is masqueraded when it leaves.
  std::string masquerade_chain() const { return options_.prefix + "-MARK-MASQ"; }
  // "0x4000/0x4000", as in "-m mark --mark"
  std::string masquerade_mark() const;
  std::string policy_mark() const;  // of what a network policy lets pass
  // Chains of table nat for first packets that nobody is to get: "<prefix>-REJECT" tells who sent
  // it, "<prefix>-DROP" does not. Table nat decides it alone, so that no packet finds an address
  // neither translated nor refused while rules change: tables are changed one after the other.

  // Replaces the rules of a part that is one piece. `done` comes when the kernel has them (an
  // error: it has not, and they will be tried again).
  using Done = std::function<void(Result<void>)>;
  void set(RulePart part, RuleSet rules, Done done = {});
  // The same of some pieces of a part, by their names, in whose order their rules stand.
  using Pieces = std::map<std::string, RuleSet>;
  void change(RulePart part, Pieces pieces, Done done = {});

 private:
  enum class State { kIdle, kReading, kApplying, kWaiting };
  void step();
  void read();
  void apply();
  void failed(const Error& error);
  void removed_by(uint32_t port);
  void judge_removals();

  base::Loop& loop_;
  IptablesOptions options_;
  base::Worker worker_;
  State state_ = State::kIdle;
  bool known_ = false;    // kernel_ is what the kernel has
  bool changed_ = false;  // since the transaction that is under way began
  KernelRules kernel_;
  bool whole_ = true;          // nothing tells yet that the kernel has what did not change
  bool kept_unknown_ = true;   // in the last transaction
  std::set<RulePart> spoken_;  // who has said what they want
  RuleBook book_;
  std::vector<Done> waiting_;  // for the next transaction
  RuleMonitor monitor_;
  bool listening_ = false;
  bool told_ = false;            // of removals: by nftables
  int64_t read_ms_ = 0;          // when kernel_ was read
  std::set<uint32_t> removers_;  // that have not been looked at
  std::deque<uint32_t> ours_;    // the last processes of our own
  std::unique_ptr<Timer> relook_;
  int64_t relook_ms_ = 0;  // how long the last one waited
  int64_t relooked_ms_ = 0;
  int64_t retry_ms_ = 0;
  std::unique_ptr<Timer> retry_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// Removes every chain of this prefix and the jumps to them. Blocking; for removal and tests.
Result<void> remove_rules(const std::string& prefix, bool v6 = false);

}  // namespace knarr::agent
