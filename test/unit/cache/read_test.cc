// Lists, indexes, older revisions, booting.
#include <catch2/catch.hpp>

#include "fixture.h"

using namespace knarr;
using namespace knarr::server;

namespace {

ListOptions all() { return {}; }

ListOptions in(const std::string& ns) {
  ListOptions options;
  options.ns = ns;
  return options;
}

ListOptions at(kv::Revision revision) {
  ListOptions options;
  options.revision = revision;
  return options;
}

}  // namespace

TEST_CASE("lists are in etcd's order", "[cache]") {
  Fixture f;
  for (const char* name : {"a/x", "a-b/x", "a/x-1", "a/b", "ab/a", "a.c/z"}) {
    REQUIRE(f.create(kPods, name).ok());
  }
  CHECK(f.names(all()) == "a-b/x a.c/z a/b a/x a/x-1 ab/a");
  CHECK(f.names(in("a")) == "a/b a/x a/x-1");
  CHECK(f.names(in("a-b")) == "a-b/x");
  CHECK(f.names(in("none")).empty());
  CHECK(f.cache->count(kPods) == 6);
  CHECK(f.names(all(), {"x", "unknown"}).empty());
}

TEST_CASE("pages of a list", "[cache]") {
  Fixture f;
  for (const char* name : {"a/1", "a/2", "b/1", "b/2"}) f.create(kPods, name).value();
  ListOptions page;
  page.limit = 3;
  CHECK(f.names(page) == "a/1 a/2 b/1 ...1");
  page.after = NamespacedName{"b", "1"};
  CHECK(f.names(page) == "b/2");
  page.after = NamespacedName{"a", "15"};
  page.limit = 1;
  CHECK(f.names(page) == "a/2 ...2");
  page.ns = "b";
  CHECK(f.names(page) == "b/1 ...1");
  page.matches = [](const Object&) { return true; };
  CHECK(f.names(page) == "b/1 ...0");
  // A full page goes on where objects follow, whether they match or not.
  page.matches = [](const Object& object) { return object.name.name == "1"; };
  CHECK(f.names(page) == "b/1 ...0");
  page.ns = "";
  page.after = NamespacedName{"a", "2"};
  page.limit = 2;
  CHECK(f.names(page) == "b/1");
}

TEST_CASE("lists at an older revision are rolled back", "[cache]") {
  Fixture f;
  f.create(kPods, "a/1 one").value();  // 2
  f.create(kPods, "a/2").value();      // 3
  f.update(kPods, 2, "a/1 two").value();
  f.remove(kPods, "a/2").value();  // 5
  f.create(kPods, "a/3").value();  // 6
  f.create(kNodes, "n").value();   // 7
  f.create(kPods, "a/2").value();  // 8
  CHECK(f.names(at(2)) == "a/1");
  CHECK(f.names(at(3)) == "a/1 a/2");
  CHECK(f.names(at(5)) == "a/1");
  CHECK(f.names(at(6)) == "a/1 a/3");
  CHECK(f.names(at(7)) == "a/1 a/3");
  CHECK(f.names(at(8)) == "a/1 a/2 a/3");
  CHECK(f.cache->list(kPods, at(3))->items[0]->json == "@2 a/1 one");
  CHECK(f.cache->list(kPods, at(4))->items[0]->json == "@4 a/1 two");
  CHECK(f.cache->list(kPods, at(3))->revision == 3);
  ListOptions page = at(3);
  page.limit = 1;
  CHECK(f.names(page) == "a/1 ...1");
  page.after = NamespacedName{"a", "1"};
  CHECK(f.names(page) == "a/2");
  Result<ListResult> future = f.cache->list(kPods, at(99));
  CHECK(future.error().code == Code::kTimeout);
  CHECK(future.error().message == "Timeout: Too large resource version: 99, current: 8");
}

TEST_CASE("what the window no longer holds is expired", "[cache]") {
  CacheOptions options = cache_options();
  options.window_changes = 2;
  Fixture f(options);
  for (int i = 0; i < 4; ++i) f.set(kPods, "a/1 " + std::to_string(i)).value();  // 2..5
  CHECK(f.names(at(3)) == "a/1");
  CHECK(f.cache->list(kPods, at(2)).error().code == Code::kExpired);
}

TEST_CASE("indexes follow the objects", "[cache]") {
  Fixture f;
  f.create(kPods, "b/1 node=n1 owner=u1").value();
  f.create(kPods, "a/1 node=n1").value();
  f.create(kPods, "a/2 node=n2 owner=u1").value();
  f.create(kNodes, "n owner=u1").value();
  ListOptions on_n1;
  on_n1.indexed = {"spec.nodeName", "n1"};
  CHECK(f.names(on_n1) == "a/1 b/1");
  on_n1.ns = "b";
  CHECK(f.names(on_n1) == "b/1");
  auto owned = [&] {
    std::string out;
    f.cache->for_each_owned("u1", [&](const GroupResource& resource, const ObjectRef& object) {
      out += resource.resource + ":" + object->name.text() + " ";
    });
    return out;
  };
  CHECK(owned() == "nodes:n pods:a/2 pods:b/1 ");
  f.set(kPods, "b/1 node=n2").value();
  f.remove(kNodes, "n").value();
  CHECK(owned() == "pods:a/2 ");
  ListOptions on_n2;
  on_n2.indexed = {"spec.nodeName", "n2"};
  CHECK(f.names(on_n2) == "a/2 b/1");
}

TEST_CASE("booting loads what is stored", "[cache]") {
  Fixture f;
  for (int i = 0; i < 1200; ++i) {
    f.cache->create({kPods, {"a", std::to_string(i)}}, draft("a/" + std::to_string(i)), {},
                    [](Result<ObjectRef>) {});
  }
  f.create(kPods, "z/last node=n1").value();
  f.create(kLeases, "kube-node-lease/n1").value();
  kv::Revision before = f.cache->revision();
  f.boot();
  CHECK(f.cache->count(kPods) == 1201);
  CHECK(f.cache->revision() == before);
  ObjectRef last = f.cache->get({kPods, {"z", "last"}});
  REQUIRE(last);
  CHECK(last->json == "@1202 z/last node=n1");
  CHECK(f.cache->list(kPods, at(before - 1)).error().code == Code::kExpired);
}

TEST_CASE("objects that do not decode are left alone", "[cache]") {
  Fixture f;
  bool done = false;
  f.store.txn({{}, {{kv::Op::Kind::kPut, "/registry/pods/a/bad", "broken", 0}}},
              [&](Result<kv::TxnResult>) { done = true; });
  f.store.txn({{}, {{kv::Op::Kind::kPut, "/registry/pods/a/liar", "a/other", 0}}},
              [&](Result<kv::TxnResult>) {});
  f.create(kPods, "a/good").value();
  CHECK(f.names(all()) == "a/good");
  f.boot();
  CHECK(f.names(all()) == "a/good");
}

TEST_CASE("resources come and go while it runs", "[cache]") {
  Fixture f;
  const GroupResource kWidgets{"example.com", "widgets"};
  ResourceSpec spec{kWidgets, "/registry/example.com/widgets/", true, {}};
  CHECK(f.create(kWidgets, "a/1").error().code == Code::kNotFound);
  f.cache->add_resource(spec);
  f.create(kWidgets, "a/1").value();
  Sink sink;
  auto watch = std::move(f.cache->watch(kWidgets, {}, sink)).value();
  watch->start();
  f.cache->remove_resource(kWidgets);
  REQUIRE(sink.error);
  CHECK(sink.error->code == Code::kNotFound);
  CHECK_FALSE(f.cache->has_resource(kWidgets));
  bool loaded = false;
  f.cache->add_resource(spec, [&](Result<void> result) { loaded = result.ok(); });
  REQUIRE(f.loop.run_until([&] { return loaded; }, 5000));
  CHECK(f.names(all(), kWidgets) == "a/1");
}
