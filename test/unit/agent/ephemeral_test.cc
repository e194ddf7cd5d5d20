// Containers that are added to a pod that runs.
#include <catch2/catch.hpp>

#include "agent/pod_recovery.h"
#include "agent/pod_resize.h"
#include "fake_node.h"

using namespace knarr;
using namespace knarr::agent;
using namespace knarr::test;
using json::Value;
using State = PodMachine::State;

namespace {

Value with_ephemeral(Value spec, std::initializer_list<Value> list) {
  spec.set("ephemeralContainers", Value::array(list));
  return spec;
}

Value debugger(const std::string& name, const char* target = nullptr) {
  Value v = container(name);
  if (target != nullptr) v.set("targetContainerName", target);
  return v;
}

const Value& seen(const Node& node, size_t i = 0) {
  return node.statuses.last["ephemeralContainerStatuses"][i];
}

void add(Node& node, std::initializer_list<Value> list) {
  node.machine->update(make_pod(with_ephemeral(node.spec, list)));
  node.clock.settle();
}

}  // namespace

TEST_CASE("an ephemeral container starts beside what runs, once, and changes nothing else") {
  Node node(spec_of({container("a")}));
  node.start();
  std::string main_id = node.runtime.running("a");
  add(node, {debugger("d", "a")});
  CHECK(node.runtime.started == std::vector<std::string>{"a", "d"});
  CHECK(node.runtime.pid_targets["d"] == main_id);
  CHECK(seen(node)["name"].as_string() == "d");
  CHECK(seen(node)["state"].has("running"));
  CHECK_FALSE(seen(node)["ready"].as_bool(true));
  CHECK_FALSE(seen(node).has("started"));
  CHECK(node.condition("Ready") == "True");
  CHECK(node.statuses.last["containerStatuses"].size() == 1);

  node.exit("d", 3);
  CHECK(seen(node)["state"]["terminated"]["exitCode"].as_int() == 3);
  CHECK(node.phase() == "Running");
  CHECK(node.condition("Ready") == "True");
  node.clock.advance(600 * 1000);
  CHECK(node.runtime.started.size() == 2);
  CHECK(seen(node)["restartCount"].as_int() == 0);
}

TEST_CASE("a later ephemeral container may stand before an earlier one") {
  Node node(spec_of({container("a")}));
  node.start();
  add(node, {debugger("d")});
  add(node, {debugger("e"), debugger("d")});
  CHECK(node.runtime.started == std::vector<std::string>{"a", "d", "e"});
  CHECK(seen(node, 0)["name"].as_string() == "e");
  CHECK(seen(node, 1)["name"].as_string() == "d");
  CHECK(seen(node, 1)["state"].has("running"));
}

TEST_CASE("an ephemeral container waits neither for init containers nor for a probe") {
  Value spec = spec_of({container("a")});
  spec.set("initContainers", Value::array({container("i")}));
  Node node(spec);
  node.start();
  add(node, {debugger("d")});
  CHECK(node.runtime.started == std::vector<std::string>{"i", "d"});
  CHECK(node.phase() == "Pending");
  CHECK(node.condition("Initialized") == "FalseContainersNotInitialized");
}

TEST_CASE("an image that cannot be pulled is said, and tried again") {
  Node node(spec_of({container("a")}));
  node.start();
  node.images.outcome = {{}, "ErrImagePull", "no such image", 1000};
  add(node, {debugger("d")});
  CHECK(seen(node)["state"]["waiting"]["reason"].as_string() == "ErrImagePull");
  CHECK(node.phase() == "Running");
  node.images.outcome = {};
  node.clock.advance(1100);
  CHECK(seen(node)["state"].has("running"));
}

TEST_CASE("a target that was never made is said") {
  Node node(spec_of({container("a")}));
  node.start();
  add(node, {debugger("d", "b")});
  CHECK(seen(node)["state"]["waiting"]["reason"].as_string() == "CreateContainerConfigError");
  CHECK(seen(node)["state"]["waiting"]["message"].as_string() ==
        "unable to find target container b");
}

TEST_CASE("ephemeral containers end with their pod, and keep none from ending") {
  Node node(spec_of({container("a")}, "Never"));
  node.start();
  add(node, {debugger("d")});
  node.exit("a", 0);
  CHECK(node.machine->state() == State::kDone);
  CHECK(node.phase() == "Succeeded");
  CHECK(node.runtime.stopped == std::vector<std::string>{"d 30000"});
  CHECK(seen(node)["state"]["terminated"]["exitCode"].as_int() == 143);
}

TEST_CASE("an ephemeral container that ended with its sandbox is not started again") {
  Node node(spec_of({container("a")}));
  node.start();
  add(node, {debugger("d")});
  node.runtime.stop_sandbox(node.machine->sandbox_id(), [](const Result<void>&) {});
  node.clock.settle();
  CHECK(node.runtime.started == std::vector<std::string>{"a", "d", "a"});
  CHECK(seen(node)["state"]["terminated"]["exitCode"].as_int() == 137);
}

TEST_CASE("an ephemeral container is adopted, and not run anew after a reboot") {
  auto pod = [](const char* status) {
    Value spec = with_ephemeral(spec_of({container("a")}), {debugger("d")});
    auto object = std::make_shared<Object>(*make_pod(spec)->object());
    Value json = *json::parse(object->json);
    json.set("status", *json::parse(status));
    object->json = json::write(json);
    return *Pod::parse(object);
  };
  auto known = pod(R"({"ephemeralContainerStatuses":[{"name":"d","containerID":"knarr://x1",
      "imageID":"i","state":{"running":{"startedAt":"2026-01-01T00:00:00Z"}}}]})");
  Remains lost = remains_of(*known, known->containers()[1], {}, 5000000);
  REQUIRE(lost.newest_first.size() == 1);
  CHECK(lost.newest_first[0].id == "x1");
  CHECK(lost.newest_first[0].exit_code == 137);
  CHECK(lost.newest_first[0].reason == "ContainerStatusUnknown");

  auto ended = pod(R"({"ephemeralContainerStatuses":[{"name":"d","containerID":"knarr://x1",
      "state":{"terminated":{"exitCode":4,"reason":"Error"}}}]})");
  CHECK(remains_of(*ended, ended->containers()[1], {}, 0).newest_first[0].exit_code == 4);

  auto fresh = pod("{}");
  CHECK(remains_of(*fresh, fresh->containers()[1], {}, 0).newest_first.empty());

  Recovered found;
  found.containers.emplace_back();
  found.containers[0].name = "d";
  found.containers[0].id = "x1";
  found.containers[0].state = runtime::ContainerState::kRunning;
  CHECK(remains_of(*known, known->containers()[1], found, 0).newest_first[0].state ==
        runtime::ContainerState::kRunning);
}

TEST_CASE("an ephemeral container is no resize, and asks for nothing") {
  PodRef before = make_pod(spec_of({container("a")}));
  PodRef after = make_pod(with_ephemeral(spec_of({container("a")}), {debugger("d")}));
  CHECK(allocation_of(*before) == allocation_of(*after));
  CHECK(pod_requests(*before) == pod_requests(*after));
  CHECK(pod_group_resources(*before) == pod_group_resources(*after));
}
