#include "agent/status_writer.h"

#include <catch2/catch.hpp>
#include <vector>

#include "agent/pod_recovery.h"
#include "fake_node.h"

using namespace knarr;
using namespace knarr::agent;
using json::Value;

namespace {

// Answers what a test tells it to.
struct FakeApi final : client::Client {
  void call(client::Request request, client::Reply reply) override {
    bodies.push_back(*json::parse(request.body));
    if (down) return reply(make_error(Code::kServiceUnavailable, "connection refused"));
    auto object = std::make_shared<Object>();
    object->revision = revision;
    reply(ObjectRef(object));
  }
  std::unique_ptr<client::Watch> watch(client::WatchTarget, client::WatchHandler&) override {
    return nullptr;
  }
  bool down = false;
  int64_t revision = 1;
  std::vector<Value> bodies;
};

PodRef with_status(const char* status) {
  auto object =
      std::make_shared<Object>(*test::make_pod(test::spec_of({test::container("a")}))->object());
  Value json = *json::parse(object->json);
  json.set("status", *json::parse(status));
  object->json = json::write(json);
  return *Pod::parse(object);
}

}  // namespace

TEST_CASE("a status that could not be written is written later, however often it is said") {
  test::FakeClock clock;
  FakeApi api;
  StatusWriter writer(api, clock);
  PodRef pod = with_status(R"({"phase":"Running","podIP":"10.0.0.1"})");
  api.down = true;
  Value wanted = *json::parse(R"({"phase":"Running","podIP":"10.0.0.2"})");
  writer.set(pod, wanted);
  writer.set(pod, wanted);
  CHECK(api.bodies.size() == 1);
  api.down = false;
  clock.advance(60000);
  REQUIRE(api.bodies.size() == 2);
  CHECK(api.bodies[1]["status"]["podIP"].as_string() == "10.0.0.2");
  writer.set(pod, wanted);
  CHECK(api.bodies.size() == 2);
}

TEST_CASE("a status that the API has already is not written") {
  test::FakeClock clock;
  FakeApi api;
  StatusWriter writer(api, clock);
  writer.set(with_status(R"({"phase":"Running"})"), *json::parse(R"({"phase":"Running"})"));
  CHECK(api.bodies.empty());
}

TEST_CASE("a condition that somebody else has turned is written again, once") {
  test::FakeClock clock;
  FakeApi api;
  StatusWriter writer(api, clock);
  const char* ready = R"({"phase":"Running","conditions":[{"type":"Ready","status":"True"}]})";
  const char* turned = R"({"phase":"Running","conditions":[{"type":"Ready","status":"False"}]})";
  writer.set(with_status("{}"), *json::parse(ready));
  REQUIRE(api.bodies.size() == 1);
  writer.observe(with_status(turned));  // not newer than what was written
  CHECK(api.bodies.size() == 1);
  auto newer = std::make_shared<Object>(*with_status(turned)->object());
  newer->revision = 9;
  PodRef pod = *Pod::parse(newer);
  api.revision = 10;
  writer.observe(pod);
  REQUIRE(api.bodies.size() == 2);
  CHECK(api.bodies[1]["status"]["conditions"][0]["status"].as_string() == "True");
  writer.observe(pod);
  CHECK(api.bodies.size() == 2);
}

TEST_CASE("of a finished pod after a reboot nothing else is said than before") {
  PodRef pod = with_status(R"({"phase":"Succeeded","containerStatuses":[{"name":"a",
      "containerID":"knarr://x1","restartCount":2,
      "state":{"terminated":{"exitCode":0,"reason":"Completed"}}}]})");
  Remains remains = remains_of(*pod, pod->containers()[0], {}, 0);
  REQUIRE(remains.newest_first.size() == 1);
  CHECK(remains.newest_first[0].id == "x1");
  CHECK(remains.newest_first[0].attempt == 2);
  CHECK(remains.newest_first[0].state == runtime::ContainerState::kExited);

  PodRef running = with_status(R"({"phase":"Running","containerStatuses":[{"name":"a",
      "containerID":"knarr://x1","restartCount":2,"state":{"running":{}}}]})");
  CHECK(remains_of(*running, running->containers()[0], {}, 0).newest_first.empty());
  CHECK(remains_of(*running, running->containers()[0], {}, 0).restart_count == 2);
}
