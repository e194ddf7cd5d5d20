#include "agent/proxy/rule_book.h"

#include <catch2/catch.hpp>

using namespace knarr::agent;

namespace {

RuleSet rules(std::initializer_list<std::pair<const char*, const char*>> list) {
  RuleSet out;
  for (const auto& [chain, text] : list) out.rule("nat", chain, text);
  return out;
}

// What the kernel has after it was told of a change, and the text that told it.
struct Kernel {
  KernelRules known;
  std::string take(RuleBook& book) {
    RuleBook::Change change = book.take_change();
    KernelRules before = known_of(known, change.chains);
    std::string text = transaction(change.rules, before, false);
    learn(known, change.chains, after_transaction(change.rules, before, false));
    return text;
  }
};

}  // namespace

TEST_CASE("a chain holds what its pieces say, in their order") {
  RuleBook book;
  book.put({1, "b"}, rules({{"T-A", "-j B"}, {"T-B", "-j RETURN"}}));
  book.put({1, "a"}, rules({{"T-A", "-j A"}}));
  book.put({0, "z"}, rules({{"T-A", "-j Z"}}));
  book.put({1, "a"}, rules({{"T-A", "-j C"}}));
  RuleSet all = book.all();
  CHECK(all.tables["nat"].chains["T-A"] == "-A T-A -j Z\n-A T-A -j C\n-A T-A -j B\n");
  CHECK(all.tables["nat"].chains.size() == 2);
}

TEST_CASE("only what a changed piece touches is written") {
  RuleBook book;
  Kernel kernel;
  RuleSet frame = rules({{"T-A", "-j T-B"}});
  frame.jump("nat", "OUTPUT", "-j T-A");
  book.put({0, ""}, frame);
  book.put({1, "b"}, rules({{"T-B", "-j RETURN"}}));
  book.put({1, "c"}, rules({{"T-A", "-j T-C"}, {"T-C", "-j RETURN"}}));
  CHECK(kernel.take(book) ==
        "*nat\n:T-A - [0:0]\n:T-B - [0:0]\n:T-C - [0:0]\n-A T-A -j T-B\n-A T-A -j T-C\n"
        "-A T-B -j RETURN\n-A T-C -j RETURN\n-I OUTPUT 1 -j T-A\nCOMMIT\n");
  CHECK(kernel.take(book).empty());
  book.put({1, "b"}, rules({{"T-B", "-j RETURN"}}));
  CHECK(kernel.take(book).empty());
  book.put({1, "b"}, rules({{"T-B", "-j ACCEPT"}}));
  CHECK(kernel.take(book) == "*nat\n:T-B - [0:0]\n-A T-B -j ACCEPT\nCOMMIT\n");
  book.put({1, "c"}, {});
  CHECK(kernel.take(book) == "*nat\n:T-A - [0:0]\n:T-C - [0:0]\n-A T-A -j T-B\n-X T-C\nCOMMIT\n");
  book.put({0, ""}, rules({{"T-A", "-j T-B"}}));
  CHECK(kernel.take(book) == "*nat\n-D OUTPUT -j T-A\nCOMMIT\n");
  KernelRules whole = after_transaction(book.all(), {}, false);
  CHECK(whole["nat"].chains == kernel.known["nat"].chains);
  CHECK(whole["nat"].counts == kernel.known["nat"].counts);
  CHECK(whole["nat"].jumps == kernel.known["nat"].jumps);
}

TEST_CASE("a piece moves between tables") {
  RuleBook book;
  Kernel kernel;
  RuleSet filter;
  filter.rule("filter", "T-F", "-j DROP");
  book.put({1, "s"}, filter);
  CHECK(kernel.take(book) == "*filter\n:T-F - [0:0]\n-A T-F -j DROP\nCOMMIT\n");
  book.put({1, "s"}, rules({{"T-S", "-j RETURN"}}));
  CHECK(kernel.take(book) ==
        "*filter\n:T-F - [0:0]\n-X T-F\nCOMMIT\n*nat\n:T-S - [0:0]\n-A T-S -j RETURN\nCOMMIT\n");
}
