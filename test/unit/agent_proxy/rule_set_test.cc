#include "agent/proxy/rule_set.h"

#include <catch2/catch.hpp>

using namespace knarr::agent;

namespace {

RuleSet rules_a_and_b() {
  RuleSet rules;
  rules.rule("nat", "T-A", "-j T-B");
  rules.rule("nat", "T-B", "-j RETURN");
  rules.jump("nat", "OUTPUT", "-j T-A");
  return rules;
}

}  // namespace

TEST_CASE("chains that are as they were left need not be written again") {
  RuleSet rules;
  rules.rule("nat", "T-A", "-j RETURN");
  rules.rule("nat", "T-B", "-j RETURN");
  rules.rule("nat", "T-B", "-j ACCEPT");
  rules.jump("nat", "OUTPUT", "-j T-A");
  KernelRules believed = after_transaction(rules, {}, false);
  const char* intact =
      "*nat\n:OUTPUT ACCEPT [0:0]\n:T-A - [0:0]\n:T-B - [0:0]\n-A OUTPUT -j T-A\n"
      "-A T-A -j RETURN\n-A T-B -j RETURN\n-A T-B -j ACCEPT\nCOMMIT\n";
  CHECK(transaction(rules, confirmed(believed, read_saved(intact, "T")), false).empty());
  const char* flushed =
      "*nat\n:OUTPUT ACCEPT [0:0]\n:T-A - [0:0]\n:T-B - [0:0]\n-A OUTPUT -j T-A\n"
      "-A T-A -j RETURN\n-A T-B -j RETURN\nCOMMIT\n";
  CHECK(transaction(rules, confirmed(believed, read_saved(flushed, "T")), false) ==
        "*nat\n:T-B - [0:0]\n-A T-B -j RETURN\n-A T-B -j ACCEPT\nCOMMIT\n");
  const char* no_jump =
      "*nat\n:OUTPUT ACCEPT [0:0]\n:T-A - [0:0]\n:T-B - [0:0]\n"
      "-A T-A -j RETURN\n-A T-B -j RETURN\n-A T-B -j ACCEPT\nCOMMIT\n";
  CHECK(transaction(rules, confirmed(believed, read_saved(no_jump, "T")), false) ==
        "*nat\n-I OUTPUT 1 -j T-A\nCOMMIT\n");
  // Of a process before nothing is known.
  CHECK(transaction(rules, confirmed({}, read_saved(intact, "T")), false).size() > 60);
}

TEST_CASE("a transaction makes what is not there") {
  CHECK(transaction(rules_a_and_b(), {}, false) ==
        "*nat\n:T-A - [0:0]\n:T-B - [0:0]\n-A T-A -j T-B\n-A T-B -j RETURN\n"
        "-I OUTPUT 1 -j T-A\nCOMMIT\n");
}

TEST_CASE("a transaction is empty when all is there, and changes chains one by one") {
  RuleSet rules = rules_a_and_b();
  KernelRules kernel = after_transaction(rules, {}, false);
  CHECK(transaction(rules, kernel, false).empty());
  rules.rule("nat", "T-B", "-j ACCEPT");
  CHECK(transaction(rules, kernel, false) ==
        "*nat\n:T-B - [0:0]\n-A T-B -j RETURN\n-A T-B -j ACCEPT\nCOMMIT\n");
  CHECK(transaction({}, kernel, false) ==
        "*nat\n:T-A - [0:0]\n:T-B - [0:0]\n-D OUTPUT -j T-A\n-X T-A\n-X T-B\nCOMMIT\n");
}

TEST_CASE("what another process left is read, duplicates go, others' rules stay") {
  KernelRules kernel = read_saved(
      "# comment\n*nat\n:OUTPUT ACCEPT [0:0]\n:T-A - [0:0]\n:T-OLD - [0:0]\n:TX-A - [0:0]\n"
      "-A OUTPUT -j DOCKER\n-A OUTPUT -j T-A\n-A OUTPUT -m comment --comment \"x\" -j T-A\n"
      "-A OUTPUT -j T-A\n-A T-A -j T-OLD\n-A OUTPUT -j TX-A\nCOMMIT\n",
      "T");
  CHECK(kernel["nat"].chains.size() == 2);
  CHECK(kernel["nat"].jumps.size() == 3);
  CHECK(transaction(rules_a_and_b(), kernel, false) ==
        "*nat\n:T-A - [0:0]\n:T-B - [0:0]\n:T-OLD - [0:0]\n"
        "-D OUTPUT -j T-A\n-D OUTPUT -m comment --comment \"x\" -j T-A\n-D OUTPUT -j T-A\n"
        "-A T-A -j T-B\n-A T-B -j RETURN\n-I OUTPUT 1 -j T-A\n-X T-OLD\nCOMMIT\n");
}

TEST_CASE("what is not ours to know yet is kept") {
  KernelRules kernel;
  kernel["nat"].chains = {{"T-A", 0}, {"T-SVC", 0}};
  kernel["nat"].jumps = {{"OUTPUT", "-j T-SVC"}, {"OUTPUT", "-j T-A"}};
  RuleSet rules = rules_a_and_b();
  CHECK(transaction(rules, kernel, true) ==
        "*nat\n:T-A - [0:0]\n:T-B - [0:0]\n-A T-A -j T-B\n-A T-B -j RETURN\nCOMMIT\n");
  KernelRules after = after_transaction(rules, kernel, true);
  CHECK(after["nat"].chains.count("T-SVC") == 1);
  CHECK(transaction(rules, after, true).empty());
  CHECK(transaction(rules, after, false) ==
        "*nat\n:T-SVC - [0:0]\n-D OUTPUT -j T-A\n-D OUTPUT -j T-SVC\n-I OUTPUT 1 -j T-A\n"
        "-X T-SVC\nCOMMIT\n");
}

TEST_CASE("chain names and comments fit iptables") {
  std::string name = hashed_chain("KNARR", "SVC", "default/web:http");
  CHECK(name.size() == 23);
  CHECK(name.starts_with("KNARR-SVC-"));
  CHECK(name != hashed_chain("KNARR", "SVC", "default/web:https"));
  CHECK(hashed_chain("ABCDEFGHIJ", "SVC", "x").size() <= 28);
  CHECK(comment("a\"b\\c\nd") == "-m comment --comment \"abcd\"");
}
