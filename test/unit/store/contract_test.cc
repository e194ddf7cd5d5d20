// What include/knarr/kv_store.h promises, for every backend.
#include <catch2/catch.hpp>
#include <map>

#include "base/random.h"
#include "harness.h"

using namespace knarr;
using namespace knarr::kv;

#define BACKENDS MemoryBackend, SqliteBackend

TEMPLATE_TEST_CASE("a write is seen with its revisions", "[store]", BACKENDS) {
  Harness<TestType> h;
  CHECK(h.store->revision() == 1);
  CHECK(h.create("a", "1")->revision == 2);
  CHECK(h.put("a", "2")->revision == 3);
  CHECK(h.store->revision() == 3);
  Result<RangeResult> read = h.range({"a", "", 0, 0});
  REQUIRE(read->kvs.size() == 1);
  CHECK(read->revision == 3);
  CHECK(read->kvs[0].value == "2");
  CHECK(read->kvs[0].create_revision == 2);
  CHECK(read->kvs[0].mod_revision == 3);
  CHECK(h.remove("a")->revision == 4);
  CHECK(h.text({"a", "", 0, 0}).empty());
  CHECK(h.create("a", "3")->revision == 5);
  CHECK(h.range({"a", "", 0, 0})->kvs[0].create_revision == 5);
}

TEMPLATE_TEST_CASE("compares decide, and say what is there", "[store]", BACKENDS) {
  Harness<TestType> h;
  REQUIRE(h.create("a", "1")->succeeded);
  Result<TxnResult> again = h.create("a", "2");
  CHECK_FALSE(again->succeeded);
  CHECK(again->revision == 2);
  REQUIRE(again->conflicts.size() == 1);
  CHECK(again->conflicts[0].value == "1");
  CHECK(again->conflicts[0].mod_revision == 2);
  CHECK_FALSE(h.txn({{{"b", 7}}, {{Op::Kind::kPut, "b", "x", 0}}})->succeeded);
  CHECK(h.txn({{{"a", 2}, {"b", 0}}, {{Op::Kind::kPut, "b", "x", 0}}})->succeeded);
  CHECK_FALSE(h.txn({{{"a", 2}, {"b", 0}}, {{Op::Kind::kPut, "c", "x", 0}}})->succeeded);
  CHECK(h.text({"a", "z", 0, 0}) == "a=1 b=x");
}

TEMPLATE_TEST_CASE("a transaction of nothing changes nothing", "[store]", BACKENDS) {
  Harness<TestType> h;
  CHECK(h.remove("none")->revision == 1);
  CHECK(h.remove("none")->succeeded);
  CHECK(h.txn({})->revision == 1);
  CHECK(h.put("a", "")->revision == 2);
  CHECK(h.text({"a", "", 0, 0}) == "a=");
}

TEMPLATE_TEST_CASE("several operations share one revision", "[store]", BACKENDS) {
  Harness<TestType> h;
  h.put("old", "0").value();
  Recorder all;
  auto watch = h.store->watch("a", "z", 0, all);
  Txn txn{{},
          {{Op::Kind::kPut, "b", "2", 0},
           {Op::Kind::kPut, "a", "1", 0},
           {Op::Kind::kDelete, "old", "", 0}}};
  CHECK(h.txn(txn)->revision == 3);
  CHECK(all.seen == std::vector<std::string>{"3 put b=2", "3 put a=1", "3 delete old was 0"});
}

TEMPLATE_TEST_CASE("pipelined writes to one key are compared exactly", "[store]", BACKENDS) {
  Harness<TestType> h;
  int won = 0;
  int answered = 0;
  Revision last = 0;
  for (int i = 0; i < 200; ++i) {
    Txn txn{{{"a", i % 2 == 0 ? 0 : 2}}, {{Op::Kind::kPut, "a", std::to_string(i), 0}}};
    h.store->txn(txn, [&](Result<TxnResult> result) {
      ++answered;
      won += result->succeeded ? 1 : 0;
      CHECK(result->revision >= last);
      last = result->revision;
    });
  }
  REQUIRE(h.loop.run_until([&] { return answered == 200; }, 20000));
  CHECK(won == 2);  // the first create, the first update of it
  CHECK(h.text({"a", "", 0, 0}) == "a=1");
}

TEMPLATE_TEST_CASE("ranges: order, bounds, limit, keys and counts only", "[store]", BACKENDS) {
  Harness<TestType> h;
  for (const char* key : {"/b/2", "/a", "/b/1", "/b/10", "/c"}) h.put(key, "v").value();
  struct Case {
    Range range;
    std::string expected;
    bool more;
    int64_t count;
  };
  const std::vector<Case> cases = {
      {{"/b/", "/b0", 0, 0}, "/b/1=v /b/10=v /b/2=v", false, 3},
      {{"/b/", "/b0", 0, 2}, "/b/1=v /b/10=v", true, -1},
      {{"/b/", "/b0", 0, 3}, "/b/1=v /b/10=v /b/2=v", false, 3},
      {{"/b/", "/b0", 0, 0, true}, "/b/1= /b/10= /b/2=", false, 3},
      {{"/b/", "/b0", 0, 0, false, true}, "", false, 3},
      {{"/b/", "/b/", 0, 0}, "", false, 0},
      {{"/b", "", 0, 0}, "", false, 0},
      {{"/c", "", 0, 0}, "/c=v", false, 1},
  };
  for (const Case& c : cases) {
    Result<RangeResult> result = h.range(c.range);
    CHECK(h.text(c.range) == c.expected);
    CHECK(result->more == c.more);
    if (c.count >= 0) CHECK(result->count == c.count);
  }
}

TEMPLATE_TEST_CASE("reads at a revision", "[store]", BACKENDS) {
  Harness<TestType> h;
  h.put("a", "1").value();  // 2
  h.put("b", "1").value();  // 3
  h.put("a", "2").value();  // 4
  h.remove("b").value();    // 5
  h.put("b", "3").value();  // 6
  h.put("c", "1").value();  // 7
  const std::pair<Revision, const char*> cases[] = {{1, ""},           {2, "a=1"}, {3, "a=1 b=1"},
                                                    {4, "a=2 b=1"},    {5, "a=2"}, {6, "a=2 b=3"},
                                                    {7, "a=2 b=3 c=1"}};
  for (auto [revision, expected] : cases) {
    CHECK(h.text({"a", "z", revision, 0}) == expected);
    CHECK(h.range({"a", "z", revision, 0})->revision == 7);
  }
  CHECK(h.range({"b", "", 4, 0})->kvs[0].mod_revision == 3);
  CHECK(h.range({"a", "z", 3, 1})->more);
  CHECK(h.range({"a", "z", 8, 0}).error().code == Code::kBadRequest);

  CHECK(h.compact(4).value() == 4);
  CHECK(h.store->compacted() == 4);
  CHECK(h.range({"a", "z", 3, 0}).error().code == Code::kExpired);
  CHECK(h.text({"a", "z", 4, 0}) == "a=2 b=1");
  CHECK(h.text({"a", "z", 0, 0}) == "a=2 b=3 c=1");
  CHECK(h.compact(2).value() == 4);
  CHECK(h.compact(99).error().code == Code::kBadRequest);
}

TEMPLATE_TEST_CASE("watches: from now, from the past, from the future", "[store]", BACKENDS) {
  Harness<TestType> h;
  h.put("a", "1").value();  // 2
  h.put("x", "1").value();  // 3
  h.put("a", "2").value();  // 4
  h.remove("a").value();    // 5
  h.put("a", "3").value();  // 6
  Recorder past, now, future, one;
  auto w1 = h.store->watch("a", "b", 3, past);
  auto w2 = h.store->watch("a", "b", 0, now);
  auto w3 = h.store->watch("a", "z", 8, future);
  auto w4 = h.store->watch("a", "", 6, one);
  h.put("a", "4").value();  // 7
  h.put("b", "1").value();  // 8
  using Seen = std::vector<std::string>;
  CHECK(past.seen == Seen{"4 put a=2 was 1", "5 delete a was 2", "6 put a=3", "7 put a=4 was 3"});
  CHECK(now.seen == Seen{"7 put a=4 was 3"});
  CHECK(future.seen == Seen{"8 put b=1"});
  CHECK(one.seen == Seen{"6 put a=3", "7 put a=4 was 3"});
}

TEMPLATE_TEST_CASE("a watch below the compacted revision ends", "[store]", BACKENDS) {
  Harness<TestType> h;
  for (int i = 0; i < 5; ++i) h.put("a", std::to_string(i)).value();
  h.compact(4).value();
  Recorder old, next;
  auto w1 = h.store->watch("a", "b", 4, old);
  auto w2 = h.store->watch("a", "b", 5, next);
  h.put("b", "").value();
  REQUIRE(old.error);
  CHECK(old.error->code == Code::kExpired);
  CHECK(old.seen.empty());
  CHECK_FALSE(next.error);
  CHECK(next.seen == std::vector<std::string>{"5 put a=3 was 2", "6 put a=4 was 3"});
}

TEMPLATE_TEST_CASE("watchers may end and begin watches while they are told", "[store]", BACKENDS) {
  Harness<TestType> h;
  Recorder first, second, late;
  std::unique_ptr<Watch> w1, w2, w3;
  w1 = h.store->watch("a", "z", 0, first);
  w2 = h.store->watch("a", "z", 0, second);
  first.then = [&] {
    w1.reset();
    w2.reset();
    w3 = h.store->watch("a", "z", 0, late);
  };
  h.put("a", "1").value();
  h.put("a", "2").value();
  CHECK(first.seen.size() == 1);
  CHECK(second.seen.empty());
  CHECK(late.seen == std::vector<std::string>{"3 put a=2 was 1"});
}

TEMPLATE_TEST_CASE("events come before the answer, ranges in between", "[store]", BACKENDS) {
  Harness<TestType> h;
  Recorder all;
  auto watch = h.store->watch("a", "z", 0, all);
  std::vector<size_t> seen_at_answer;
  size_t seen_at_range = 99;
  auto put = [&](const char* value) {
    h.store->txn({{}, {{Op::Kind::kPut, "a", value, 0}}},
                 [&](Result<TxnResult>) { seen_at_answer.push_back(all.seen.size()); });
  };
  put("1");
  put("2");
  h.store->range({"a", "", 0, 0}, [&](Result<RangeResult> result) {
    seen_at_range = all.seen.size();
    CHECK(result->revision == 3);
  });
  put("3");
  CHECK(seen_at_answer.empty());
  REQUIRE(h.loop.run_until([&] { return seen_at_answer.size() == 3; }, 20000));
  CHECK(seen_at_answer == std::vector<size_t>{1, 2, 3});
  CHECK(seen_at_range == 2);
}

TEMPLATE_TEST_CASE("what is past the limits is refused", "[store]", BACKENDS) {
  Options options;
  options.limits = {100, 2};
  options.volatile_prefixes = {"/v/"};
  Harness<TestType> h(options);
  CHECK(h.put("a", std::string(100, 'x'))->revision == 2);
  CHECK(h.put("a", std::string(101, 'x')).error().code == Code::kRequestEntityTooLarge);
  Txn three{
      {},
      {{Op::Kind::kPut, "a", "", 0}, {Op::Kind::kPut, "b", "", 0}, {Op::Kind::kPut, "c", "", 0}}};
  CHECK(h.txn(three).error().code == Code::kRequestEntityTooLarge);
  Txn twice{{}, {{Op::Kind::kPut, "a", "", 0}, {Op::Kind::kDelete, "a", "", 0}}};
  CHECK(h.txn(twice).error().code == Code::kBadRequest);
  CHECK(h.put("", "x").error().code == Code::kBadRequest);
  CHECK(h.put("b", "x", 77).error().code == Code::kNotFound);
  CHECK(h.put("/v/b", "x", 77).error().code == Code::kBadRequest);
  CHECK(h.store->revision() == 2);
}

TEMPLATE_TEST_CASE("leases: revoked and expired with their keys", "[store]", BACKENDS) {
  Harness<TestType> h;
  Result<int64_t> lease = h.grant(3600 * 1000);
  REQUIRE(lease.ok());
  h.put("b", "1", *lease).value();
  h.put("a", "1", *lease).value();
  h.put("c", "1").value();
  h.put("d", "1", *lease).value();
  h.put("d", "2").value();  // a put without the lease detaches
  CHECK(h.range({"a", "", 0, 0})->kvs[0].lease == *lease);
  Recorder all;
  auto watch = h.store->watch("a", "z", 0, all);
  CHECK(h.store->lease_keep_alive(*lease).ok());
  CHECK(h.revoke(*lease).value() == 7);
  CHECK(all.seen == std::vector<std::string>{"7 delete a was 1", "7 delete b was 1"});
  CHECK(h.text({"a", "z", 0, 0}) == "c=1 d=2");
  CHECK(h.revoke(*lease).error().code == Code::kNotFound);
  CHECK(h.store->lease_keep_alive(*lease).error().code == Code::kNotFound);

  Result<int64_t> brief = h.grant(20);
  h.put("e", "1", *brief).value();
  REQUIRE(h.loop.run_until([&] { return all.seen.back() == "9 delete e was 1"; }, 20000));
  CHECK(h.put("e", "1", *brief).error().code == Code::kNotFound);
  CHECK(h.grant(1000).value() != *brief);
}

TEMPLATE_TEST_CASE("volatile keys share the revisions and have no history", "[store]", BACKENDS) {
  Options options;
  options.volatile_prefixes = {"/v/"};
  Harness<TestType> h(options);
  Recorder all;
  auto watch = h.store->watch("/", "0", 0, all);
  CHECK(h.put("/a", "1")->revision == 2);
  CHECK(h.create("/v/x", "1")->revision == 3);
  CHECK(h.put("/z", "1")->revision == 4);
  CHECK(h.txn({{{"/v/x", 3}}, {{Op::Kind::kPut, "/v/x", "2", 0}}})->revision == 5);
  CHECK_FALSE(h.create("/v/x", "3")->succeeded);
  CHECK(h.text({"/", "0", 0, 0}) == "/a=1 /v/x=2 /z=1");
  CHECK(h.text({"/", "0", 0, 2}) == "/a=1 /v/x=2");
  CHECK(h.range({"/", "0", 0, 2})->more);
  CHECK(h.range({"/", "0", 0, 0, false, true})->count == 3);
  CHECK(h.text({"/v/x", "", 0, 0}) == "/v/x=2");
  CHECK(h.text({"/", "0", 4, 0}) == "/a=1 /z=1");
  CHECK(h.remove("/v/x")->revision == 6);
  using Seen = std::vector<std::string>;
  CHECK(all.seen == Seen{"2 put /a=1", "3 put /v/x=1", "4 put /z=1", "5 put /v/x=2 was 1",
                         "6 delete /v/x was 2"});
  Recorder past;
  auto replayed = h.store->watch("/", "0", 2, past);
  h.put("/b", "1").value();
  CHECK(past.seen == Seen{"2 put /a=1", "4 put /z=1", "7 put /b=1"});
}

// Random writes against a plain map that keeps every state.
TEMPLATE_TEST_CASE("random histories read back", "[store]", BACKENDS) {
  Harness<TestType> h;
  base::SeededRandom random(20260101);
  std::vector<std::string> states = {"", ""};  // by revision
  std::map<std::string, std::string> model;
  Recorder all;
  auto watch = h.store->watch("k", "l", 0, all);
  for (int i = 0; i < 300; ++i) {
    std::string key = "k" + std::to_string(random.below(12));
    bool remove = random.below(3) == 0;
    if (remove && !model.contains(key)) continue;
    std::string value = std::to_string(i);
    (remove ? h.remove(key) : h.put(key, value)).value();
    if (remove)
      model.erase(key);
    else
      model[key] = value;
    std::string state;
    for (const auto& [k, v] : model) state += (state.empty() ? "" : " ") + k + "=" + v;
    states.push_back(state);
  }
  Revision newest = h.store->revision();
  REQUIRE(newest + 1 == static_cast<Revision>(states.size()));
  Revision floor = newest / 3;
  h.compact(floor).value();
  for (Revision r = floor; r <= newest; r += 7) {
    CHECK(h.text({"k", "l", r, 0}) == states[static_cast<size_t>(r)]);
  }
  Recorder past;
  auto replayed = h.store->watch("k", "l", floor + 1, past);
  h.put("other", "").value();
  CHECK(past.seen == std::vector<std::string>(all.seen.end() - (newest - floor), all.seen.end()));
}
