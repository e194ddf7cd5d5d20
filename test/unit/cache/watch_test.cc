// Watches: order, selectors, resumption, bookmarks.
#include <catch2/catch.hpp>

#include "fixture.h"

using namespace knarr;
using namespace knarr::server;

namespace {

std::unique_ptr<Watch> start(Fixture& f, WatchOptions options, Sink& sink) {
  Result<std::unique_ptr<Watch>> watch = f.cache->watch(kPods, std::move(options), sink);
  if (!watch.ok()) {
    sink.error = watch.error();
    return nullptr;
  }
  (*watch)->start();
  return std::move(*watch);
}

WatchOptions from(kv::Revision revision) {
  WatchOptions options;
  options.from = revision;
  return options;
}

}  // namespace

TEST_CASE("a watch resumes from a revision and goes on live", "[cache]") {
  Fixture f;
  f.create(kPods, "a/1 x").value();     // 2
  f.update(kPods, 2, "a/1 y").value();  // 3
  f.create(kNodes, "n").value();        // 4
  f.remove(kPods, "a/1").value();       // 5
  Sink sink, later;
  auto watch = start(f, from(2), sink);
  auto future = start(f, from(6), later);
  f.create(kPods, "a/1 z").value();  // 6
  f.create(kPods, "b/1").value();    // 7
  CHECK(sink.seen ==
        Seen{"MODIFIED @3 a/1 y", "DELETED @5 a/1 y", "ADDED @6 a/1 z", "ADDED @7 b/1"});
  CHECK(later.seen == Seen{"ADDED @7 b/1"});
}

TEST_CASE("selectors turn changes into transitions", "[cache]") {
  Fixture f;
  WatchOptions options;
  options.matches = [](const Object& object) {
    const std::string* app = object.label("app");
    return app != nullptr && *app == "web";
  };
  Sink sink, one, ns;
  auto watch = start(f, options, sink);
  WatchOptions named;
  named.ns = "a";
  named.name = "2";
  auto watch_one = start(f, named, one);
  WatchOptions in_b;
  in_b.ns = "b";
  auto watch_ns = start(f, in_b, ns);
  f.set(kPods, "a/1 label=db").value();     // 2
  f.set(kPods, "a/1 label=web").value();    // 3
  f.set(kPods, "a/1 label=web x").value();  // 4
  f.set(kPods, "a/1 label=db y").value();   // 5
  f.set(kPods, "a/1 label=db z").value();   // 6
  f.set(kPods, "a/2 label=web").value();    // 7
  f.remove(kPods, "a/2").value();           // 8
  f.set(kPods, "b/2").value();              // 9
  CHECK(sink.seen == Seen{"ADDED @3 a/1 label=web", "MODIFIED @4 a/1 label=web x",
                          "DELETED @5 a/1 label=web x", "ADDED @7 a/2 label=web",
                          "DELETED @8 a/2 label=web"});
  CHECK(one.seen == Seen{"ADDED @7 a/2 label=web", "DELETED @8 a/2 label=web"});
  CHECK(ns.seen == Seen{"ADDED @9 b/2"});
}

TEST_CASE("the initial state comes first, ended by a bookmark", "[cache]") {
  Fixture f;
  f.create(kPods, "b/1").value();
  f.create(kPods, "a/1").value();
  WatchOptions options;
  options.initial_state = true;
  options.initial_bookmark = true;
  Sink sink;
  auto watch = start(f, options, sink);
  f.create(kPods, "c/1").value();
  CHECK(sink.seen == Seen{"ADDED* @3 a/1", "ADDED* @2 b/1", "BOOKMARK* 3", "ADDED @4 c/1"});
}

TEST_CASE("below the window a watch is told so in Kubernetes' words", "[cache]") {
  CacheOptions options = cache_options();
  options.window_changes = 2;
  Fixture f(options);
  for (int i = 0; i < 4; ++i) f.set(kPods, "a/1 " + std::to_string(i)).value();  // 2..5
  Sink old, edge;
  auto w1 = start(f, from(2), old);
  auto w2 = start(f, from(3), edge);
  REQUIRE(old.error);
  CHECK(old.error->code == Code::kExpired);
  CHECK(old.error->message == "too old resource version: 2 (3)");
  CHECK(edge.seen.size() == 2);

  Sink late;
  auto held = std::move(f.cache->watch(kPods, from(4), late)).value();
  for (int i = 0; i < 4; ++i) f.set(kPods, "a/1 " + std::to_string(i)).value();
  held->start();
  REQUIRE(late.error);
  CHECK(late.error->code == Code::kExpired);
}

TEST_CASE("the window is bounded in bytes", "[cache]") {
  CacheOptions options = cache_options();
  options.window_bytes = 10000;
  Fixture f(options);
  for (int i = 0; i < 10; ++i) f.set(kPods, "a/1 " + std::string(3000, 'x')).value();
  Sink sink;
  auto watch = start(f, from(f.cache->revision() - 2), sink);
  CHECK(sink.seen.size() == 2);
  Sink old;
  auto none = start(f, from(f.cache->revision() - 5), old);
  CHECK(old.error);
}

TEST_CASE("a sink may end and begin watches while it is told", "[cache]") {
  Fixture f;
  Sink first, second, late;
  std::unique_ptr<Watch> w1, w2, w3;
  w1 = start(f, {}, first);
  w2 = start(f, {}, second);
  first.then = [&] {
    w1.reset();
    w2.reset();
    w3 = start(f, {}, late);
  };
  f.create(kPods, "a/1").value();
  f.create(kPods, "a/2").value();
  CHECK(first.seen.size() == 1);
  CHECK(second.seen.empty());
  CHECK(late.seen == Seen{"ADDED @3 a/2"});
}

TEST_CASE("a sink may end its watch while it is told what was before", "[cache]") {
  Fixture f;
  f.create(kPods, "a/1").value();
  f.create(kPods, "a/2").value();
  WatchOptions state;
  state.initial_state = true;
  for (const WatchOptions& options : {from(1), state}) {
    Sink sink;
    std::unique_ptr<Watch> watch = std::move(f.cache->watch(kPods, options, sink)).value();
    sink.then = [&] { watch.reset(); };
    watch->start();
    CHECK(sink.seen.size() == 1);
  }
}

TEST_CASE("watchers are told before the writer is answered, all in one order", "[cache]") {
  Fixture f;
  Sink a, b;
  auto w1 = start(f, {}, a);
  auto w2 = start(f, {}, b);
  size_t told = 0;
  f.cache->create({kPods, {"a", "1"}}, draft("a/1"), {},
                  [&](Result<ObjectRef>) { told = a.seen.size() + b.seen.size(); });
  f.create(kPods, "a/2").value();
  CHECK(told == 2);
  CHECK(a.seen == b.seen);
}

TEST_CASE("one event is encoded once an encoding", "[cache]") {
  struct Encoder final : WatchSink {
    int* made;
    int past = 0;
    std::vector<Encoded> frames;
    void on_event(const WatchEvent& event) override {
      past += event.past;
      frames.push_back(event.encoded(0, [this](EventType, const Object& object) {
        ++*made;
        return object.json;
      }));
    }
    void on_bookmark(kv::Revision, bool) override {}
    void on_error(const Error&) override {}
  };
  Fixture f;
  int made = 0;
  Encoder a, b, late;
  a.made = b.made = late.made = &made;
  auto w1 = std::move(f.cache->watch(kPods, {}, a)).value();
  auto w2 = std::move(f.cache->watch(kPods, {}, b)).value();
  w1->start();
  w2->start();
  f.create(kPods, "a/1").value();
  CHECK(made == 1);
  REQUIRE(a.frames.size() == 1);
  CHECK(a.frames[0] == b.frames[0]);
  CHECK(*a.frames[0] == "@2 a/1");
  CHECK(a.frames[0].use_count() == 2);  // the event keeps none
  CHECK(a.past == 0);
  auto w3 = std::move(f.cache->watch(kPods, from(1), late)).value();
  w3->start();
  REQUIRE(late.frames.size() == 1);
  CHECK(late.frames[0].use_count() == 1);
  CHECK(late.past == 1);
}

TEST_CASE("bookmarks follow the revision, and only it", "[cache]") {
  CacheOptions options = cache_options();
  options.bookmark_interval_ms = 10;
  Fixture f(options);
  WatchOptions marked;
  marked.bookmarks = true;
  Sink sink, plain;
  auto w1 = start(f, marked, sink);
  auto w2 = start(f, {}, plain);
  f.create(kNodes, "n").value();  // 2
  REQUIRE(f.loop.run_until([&] { return !sink.seen.empty(); }, 5000));
  CHECK(sink.seen == Seen{"BOOKMARK 2"});
  CHECK(plain.seen.empty());
}

TEST_CASE("the store is compacted an interval behind, and only after changes", "[cache]") {
  CacheOptions options = cache_options();
  options.compact_interval_ms = 10;
  Fixture f(options);
  f.set(kPods, "a/1 x").value();  // 2
  f.set(kPods, "a/1 y").value();  // 3
  REQUIRE(f.loop.run_until([&] { return f.store.compacted() == 3; }, 5000));
  CHECK(f.cache->list(kPods, {"", nullptr, {}, {}, 0, 2}).error().code == Code::kExpired);
  // Heartbeats move the revision, but there is nothing on disk to compact.
  f.set(kLeases, "kube-node-lease/n1 x").value();
  f.set(kLeases, "kube-node-lease/n1 y").value();
  bool over = false;
  auto timer = f.loop.timer([&] { over = true; });
  timer->start(60);
  REQUIRE(f.loop.run_until([&] { return over; }, 5000));
  CHECK(f.store.compacted() == 3);
}

TEST_CASE("handles may outlive the cache", "[cache]") {
  Fixture f;
  Sink sink;
  auto watch = start(f, {}, sink);
  f.cache.reset();
  watch->start();
  watch.reset();
  CHECK(sink.seen.empty());
}
