// Writes: what they answer, and the order of writers of one key.
#include <catch2/catch.hpp>

#include "fixture.h"

using namespace knarr;
using namespace knarr::server;

TEST_CASE("a write answers with the object as stored", "[cache]") {
  Fixture f;
  Result<ObjectRef> made = f.create(kPods, "a/1 one");
  CHECK((*made)->json == "@2 a/1 one");
  CHECK((*made)->revision == 2);
  CHECK(f.cache->get({kPods, {"a", "1"}}) == *made);
  CHECK((*f.update(kPods, 2, "a/1 two"))->json == "@3 a/1 two");
  CHECK((*f.remove(kPods, "a/1"))->json == "@4 a/1 two");
  CHECK_FALSE(f.cache->get({kPods, {"a", "1"}}));
  CHECK(f.cache->revision() == 4);
}

TEST_CASE("writes that meet another state are refused", "[cache]") {
  Fixture f;
  f.create(kPods, "a/1").value();
  CHECK(f.create(kPods, "a/1").error().code == Code::kAlreadyExists);
  CHECK(f.update(kPods, 7, "a/1 x").error().code == Code::kConflict);
  CHECK(f.update(kPods, 7, "a/2 x").error().code == Code::kNotFound);
  CHECK(f.remove(kPods, "a/2").error().code == Code::kNotFound);
  CHECK(f.cache->revision() == 2);
}

TEST_CASE("read-modify-writes in turns never conflict", "[cache]") {
  Fixture f;
  f.create(kPods, "a/1 0").value();
  ObjectKey key{kPods, {"a", "1"}};
  int answered = 0;
  for (int i = 0; i < 50; ++i) {
    f.cache->when_idle(key, [&] {
      ObjectRef now = f.cache->get(key);
      int count = std::stoi(now->json.substr(now->json.rfind(' ') + 1));
      f.cache->update(key, now->revision, draft("a/1 " + std::to_string(count + 1)), {},
                      [&](Result<ObjectRef> result) { answered += result.ok() ? 1 : 0; });
    });
  }
  REQUIRE(f.loop.run_until([&] { return answered == 50; }, 5000));
  CHECK(f.cache->get(key)->json == "@52 a/1 50");
}

TEST_CASE("turns that write nothing, or ask again, let the others go on", "[cache]") {
  Fixture f;
  ObjectKey key{kPods, {"a", "1"}};
  std::string order;
  f.cache->create(key, draft("a/1"), {}, [&](Result<ObjectRef>) {
    order += "c";
    f.cache->when_idle(key, [&] { order += "4"; });
  });
  f.cache->when_idle(key, [&] {
    order += "1";
    f.cache->when_idle(key, [&] { order += "5"; });
  });
  f.cache->when_idle(key, [&] { order += "2"; });
  f.cache->when_idle(key, [&] { order += "3"; });
  CHECK(order.empty());
  REQUIRE(f.loop.run_until([&] { return order.size() == 6; }, 5000));
  CHECK(order == "c12345");
  f.cache->when_idle(key, [&] { order += "!"; });
  CHECK(order == "c12345!");
}

TEST_CASE("pipelined writers of one key are exact", "[cache]") {
  Fixture f;
  ObjectKey key{kPods, {"a", "1"}};
  std::string codes;
  auto note = [&](Result<ObjectRef> result) {
    codes += result.ok() ? (*result)->json + ";"
                         : std::to_string(static_cast<int>(result.error().code)) + ";";
  };
  f.cache->create(key, draft("a/1 x"), {}, note);
  f.cache->create(key, draft("a/1 x"), {}, note);
  f.cache->update(key, 2, draft("a/1 y"), {}, note);
  f.cache->update(key, 2, draft("a/1 y"), {}, note);
  f.cache->remove(key, 3, note);
  f.cache->create(key, draft("a/1 z"), {}, note);
  REQUIRE(f.loop.run_until([&] { return f.cache->revision() == 5; }, 5000));
  auto code = [](Code c) { return std::to_string(static_cast<int>(c)) + ";"; };
  CHECK(codes == "@2 a/1 x;" + code(Code::kAlreadyExists) + "@3 a/1 y;" + code(Code::kConflict) +
                     "@4 a/1 y;@5 a/1 z;");
}

TEST_CASE("objects with a time to live go away", "[cache]") {
  Fixture f;
  f.create(kPods, "a/1", 1000).value();
  f.create(kPods, "a/2", 1000).value();
  f.create(kPods, "a/3").value();
  Sink sink;
  auto watch = std::move(f.cache->watch(kPods, {}, sink)).value();
  watch->start();
  REQUIRE(f.loop.run_until([&] { return f.cache->count(kPods) == 1; }, 5000));
  CHECK(sink.seen.size() == 2);
  CHECK(sink.seen[0].starts_with("DELETED @"));
}

TEST_CASE("a failing store fails writes, not reads", "[cache]") {
  base::Loop loop;
  bool fail = false;
  kv::MemoryStore store(loop, {}, [&] { return kv::Fate{0, fail}; });
  Cache cache(store, loop, cache_options());
  cache.add_resource({kPods, "/registry/pods/", true, {}});
  cache.start([&](Result<void>) { fail = true; });
  REQUIRE(loop.run_until([&] { return fail; }, 5000));
  std::optional<Code> code;
  cache.create({kPods, {"a", "1"}}, draft("a/1"), {},
               [&](Result<ObjectRef> result) { code = result.error().code; });
  REQUIRE(loop.run_until([&] { return code.has_value(); }, 5000));
  CHECK(*code == Code::kServiceUnavailable);
  CHECK(cache.count(kPods) == 0);
}
