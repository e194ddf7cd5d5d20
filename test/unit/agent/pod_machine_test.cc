#include "agent/pod_machine.h"

#include <catch2/catch.hpp>

#include "fake_node.h"

using namespace knarr;
using namespace knarr::agent;
using namespace knarr::test;
using json::Value;
using State = PodMachine::State;

TEST_CASE("a pod comes up, is ready, and says so") {
  Node node(spec_of({container("a"), container("b")}));
  node.start();
  CHECK(node.machine->state() == State::kRunning);
  CHECK(node.phase() == "Running");
  CHECK(node.condition("Ready") == "True");
  CHECK(node.status(1)["ready"].as_bool());
  CHECK(node.statuses.last["podIP"].as_string() == "10.42.0.5");
  CHECK(node.network.attached.size() == 1);
}

TEST_CASE("a pod that never restarts ends as its containers did, its sandbox stopped") {
  for (int code : {0, 3}) {
    Node node(spec_of({container("a")}, "Never"));
    node.start();
    node.exit("a", code);
    CHECK(node.machine->state() == State::kDone);
    CHECK(node.phase() == (code == 0 ? "Succeeded" : "Failed"));
    CHECK(node.condition("Ready") == (code == 0 ? "FalsePodCompleted" : "FalsePodFailed"));
    CHECK(node.condition("PodReadyToStartContainers") == "False");
    CHECK(node.network.attached.empty());
    CHECK_FALSE(node.volumes.is_up);
    CHECK(node.runtime.containers.size() == 1);  // for its logs
    CHECK(node.status()["state"]["terminated"]["exitCode"].as_int() == code);
    CHECK(node.status()["lastState"].empty());
  }
}

TEST_CASE("a crashing container restarts at once, then backs off and says so") {
  Node node(spec_of({container("a")}));
  node.start();
  node.exit("a", 1);
  CHECK(node.runtime.started.size() == 2);
  CHECK(node.status()["restartCount"].as_int() == 1);
  node.exit("a", 1);
  CHECK(node.runtime.started.size() == 2);
  CHECK(node.status()["state"].has("terminated"));
  CHECK(node.events.said("BackOff: Back-off restarting failed container a in pod p_default(u1)"));
  node.clock.advance(10500);
  CHECK(node.status()["state"]["waiting"]["reason"].as_string() == "CrashLoopBackOff");
  CHECK(node.status()["lastState"]["terminated"]["exitCode"].as_int() == 1);
  node.clock.advance(1000);
  CHECK(node.runtime.started.size() == 3);
  CHECK(node.status()["restartCount"].as_int() == 2);
  // Only the newest container and the one before are kept.
  CHECK(node.runtime.containers.size() == 2);
}

TEST_CASE("init containers run in order before the rest") {
  Value spec = spec_of({container("a")});
  spec.set("initContainers", Value::array({container("i1"), container("i2")}));
  Node node(spec);
  node.start();
  CHECK(node.runtime.started == std::vector<std::string>{"i1"});
  CHECK(node.phase() == "Pending");
  CHECK(node.condition("Initialized") == "FalseContainersNotInitialized");
  CHECK(node.status()["state"]["waiting"]["reason"].as_string() == "PodInitializing");
  node.exit("i1", 0);
  node.exit("i2", 0);
  CHECK(node.runtime.started == std::vector<std::string>{"i1", "i2", "a"});
  CHECK(node.phase() == "Running");
  CHECK(node.condition("Initialized") == "True");
}

TEST_CASE("a deleted pod is stopped with its grace period, then everything goes") {
  Node node(spec_of({container("a")}));
  node.start();
  node.machine->update(make_pod(node.spec, true, 7));
  node.clock.settle();
  CHECK(node.runtime.stopped == std::vector<std::string>{"a 7000"});
  CHECK(node.events.said("Killing: Stopping container a"));
  CHECK(node.machine->state() == State::kDone);
  CHECK(node.statuses.finished);
  CHECK_FALSE(node.gone);
  node.machine->forget();
  node.clock.settle();
  CHECK(node.gone);
  CHECK(node.runtime.sandboxes.empty());
}

TEST_CASE("a pod deleted while its image is pulled is never started") {
  Node node(spec_of({container("a")}));
  node.images.holds = true;
  node.start();
  node.machine->update(make_pod(node.spec, true, 30));
  node.clock.settle();
  CHECK(node.machine->state() == State::kDone);
  node.images.held.at(0)(node.images.outcome);
  node.clock.settle();
  CHECK(node.runtime.containers.empty());
}

TEST_CASE("a second stop shortens the first, and sidecars get what is left") {
  Value side = container("side");
  side.set("restartPolicy", "Always");
  Value spec = spec_of({container("a")});
  spec.set("initContainers", Value::array({side}));
  Node node(spec);
  node.start();
  node.runtime.stubborn = true;
  node.machine->update(make_pod(node.spec, true, 600));
  node.machine->update(make_pod(node.spec, true, 600));
  node.clock.settle();
  CHECK(node.runtime.stopped == std::vector<std::string>{"a 600000"});
  node.clock.advance(10000);
  node.machine->update(make_pod(node.spec, true, 30));
  CHECK(node.runtime.stopped.back() == "a 30000");
  node.clock.advance(20000);
  node.exit("a", 137);
  CHECK(node.runtime.stopped.back() == "side 10000");
  node.machine->forget();
  CHECK(node.runtime.stopped.back() == "side 2000");
}

TEST_CASE("a probe may have a grace period of its own") {
  Value c = container("a");
  c.set("livenessProbe", Value::object({{"terminationGracePeriodSeconds", 5}}));
  Node node(spec_of({c}));
  node.start();
  auto verdict = node.prober.verdicts.begin()->second;
  verdict(ProbeKind::kLiveness, false, "");
  CHECK(node.runtime.stopped == std::vector<std::string>{"a 5000"});
}

TEST_CASE("a pod past its deadline is stopped and has failed") {
  Value spec = spec_of({container("a")});
  spec.set("activeDeadlineSeconds", 30);
  Node node(spec);
  node.start();
  node.clock.advance(29000);
  CHECK(node.machine->state() == State::kRunning);
  node.clock.advance(1500);
  CHECK(node.events.said(
      "DeadlineExceeded: Pod was active on the node longer than the specified deadline"));
  CHECK(node.runtime.stopped == std::vector<std::string>{"a 30000"});
  CHECK(node.machine->state() == State::kDone);
  CHECK(node.phase() == "Failed");
  CHECK(node.statuses.last["reason"].as_string() == "DeadlineExceeded");
}

TEST_CASE("a pod deleted while it comes up still ends clean") {
  Node node(spec_of({container("a")}));
  node.machine->start({}, {});
  node.machine->update(make_pod(node.spec, true, 1));
  node.clock.settle();
  CHECK(node.machine->state() == State::kDone);
  CHECK(node.statuses.finished);
  CHECK(node.runtime.running("a").empty());
  CHECK(node.network.attached.empty());
}

TEST_CASE("volumes that fail are tried again, with an event") {
  Node node(spec_of({container("a")}));
  node.volumes.error = "MountVolume.SetUp failed";
  node.start();
  CHECK(node.machine->state() == State::kVolumes);
  CHECK(node.events.said("FailedMount: MountVolume.SetUp failed"));
  node.volumes.error.clear();
  node.clock.advance(600);
  CHECK(node.phase() == "Running");
}

TEST_CASE("a pod waits for a network to be there, one of the host's does not") {
  for (bool of_host : {false, true}) {
    Value spec = spec_of({container("a")});
    if (of_host) spec.set("hostNetwork", true);
    Node node(spec);
    node.network.problem = "no plugin";
    node.start();
    CHECK(node.events.said("NetworkNotReady: network is not ready: no plugin") != of_host);
    CHECK(node.runtime.sandboxes.size() == (of_host ? 1 : 0));
    CHECK(node.volumes.is_up == of_host);
    node.network.problem.clear();
    node.machine->network_came();
    node.clock.settle();
    CHECK(node.phase() == "Running");
  }
}

TEST_CASE("a network that fails is left and tried again, with an event") {
  Node node(spec_of({container("a")}));
  node.network.error = "plugin type=\"x\" failed (add): no";
  std::vector<size_t> there;  // sandboxes, when one leaves the network
  node.network.on_detach = [&](const std::string&) {
    there.push_back(node.runtime.sandboxes.size());
  };
  node.start();
  REQUIRE(there == std::vector<size_t>{1});
  CHECK(node.runtime.sandboxes.empty());
  CHECK(node.events.told.back().starts_with(
      "FailedCreatePodSandBox: Failed to create pod sandbox: rpc error: code = Unknown desc = "
      "failed to setup network for sandbox \""));
  CHECK(node.events.told.back().ends_with("\": plugin type=\"x\" failed (add): no"));
  node.network.error.clear();
  node.clock.advance(600);
  CHECK(node.phase() == "Running");
  node.machine->update(make_pod(node.spec, true, 0));
  node.clock.settle();
  CHECK(there == std::vector<size_t>{1, 1});  // before its namespace goes
}

TEST_CASE("a bad configuration waits with its reason") {
  Node node(spec_of({container("a")}));
  node.configurer.error = "configmap \"nope\" not found";
  node.start();
  CHECK(node.phase() == "Pending");
  CHECK(node.status()["state"]["waiting"]["reason"].as_string() == "CreateContainerConfigError");
  CHECK(node.events.said("Failed: Error: configmap \"nope\" not found"));
  node.configurer.error.clear();
  node.clock.advance(11000);
  CHECK(node.phase() == "Running");
}

TEST_CASE("a command that cannot start is shown as exit 128") {
  Node node(spec_of({container("a")}, "Never"));
  node.runtime.start_error = "exec: \"nope\": executable file not found in $PATH";
  node.start();
  CHECK(node.phase() == "Failed");
  CHECK(node.status()["state"]["terminated"]["exitCode"].as_int() == 128);
  CHECK(node.status()["state"]["terminated"]["reason"].as_string() == "StartError");
}

TEST_CASE("a failing liveness probe restarts, a failing readiness probe takes the pod out") {
  Value c = container("a");
  c.set("livenessProbe", Value::object()).set("readinessProbe", Value::object());
  Node node(spec_of({c}));
  node.start();
  CHECK(node.condition("Ready") == "FalseContainersNotReady");
  auto verdict = node.prober.verdicts.begin()->second;
  verdict(ProbeKind::kReadiness, true, "");
  node.clock.settle();
  CHECK(node.condition("Ready") == "True");
  verdict(ProbeKind::kLiveness, false, "");
  node.clock.settle();
  CHECK(node.events.said("Killing: Container a failed liveness probe, will be restarted"));
  CHECK(node.runtime.started.size() == 2);
  CHECK(node.status()["restartCount"].as_int() == 1);
  CHECK(node.condition("Ready") == "FalseContainersNotReady");
}

TEST_CASE("a lost sandbox is made anew, with its containers") {
  Node node(spec_of({container("a")}));
  node.start();
  std::string first = node.machine->sandbox_id();
  node.machine->on_sandbox_exit(first);
  node.clock.settle();
  CHECK(node.machine->sandbox_id() != first);
  CHECK(node.phase() == "Running");
  CHECK(node.status()["restartCount"].as_int() == 1);
  CHECK(node.network.attached.size() == 1);
}

TEST_CASE("a restarted agent adopts what runs and starts nothing twice") {
  Node before(spec_of({container("a")}));
  before.start();
  Node after(before.spec);
  after.runtime.sandboxes = before.runtime.sandboxes;
  after.runtime.containers = before.runtime.containers;
  Recovered found;
  found.sandboxes = {before.runtime.sandboxes.begin()->second};
  found.containers = {before.runtime.containers.begin()->second};
  after.start(found);
  CHECK(after.runtime.started.empty());
  CHECK(after.phase() == "Running");
  CHECK(after.condition("Ready") == "True");
  CHECK(after.status()["restartCount"].as_int() == 0);
  CHECK(after.status()["containerID"].as_string() == "knarr://" + found.containers[0].id);
}

TEST_CASE("a sandbox that dies while its pod is stopped ends the stop") {
  Node node(spec_of({container("a")}));
  node.start();
  node.machine->update(make_pod(node.spec, true, 30));
  node.machine->on_sandbox_exit(node.machine->sandbox_id());
  node.clock.settle();
  CHECK(node.machine->state() == State::kDone);
  CHECK(node.statuses.finished);
}

TEST_CASE("a rejected pod fails without running anything") {
  Node node(spec_of({container("a")}));
  node.machine->start({"SysctlForbidden", "forbidden sysctl"}, {});
  node.clock.settle();
  CHECK(node.phase() == "Failed");
  CHECK(node.statuses.last["reason"].as_string() == "SysctlForbidden");
  CHECK(node.statuses.last["message"].as_string() == "Pod was rejected: forbidden sysctl");
  CHECK_FALSE(node.statuses.last.has("containerStatuses"));
  CHECK(node.runtime.sandboxes.empty());
}

TEST_CASE("preStop hooks run at once, a sidecar's too; its signal comes last") {
  Value hook = Value::object({{"preStop", Value::object({{"exec", Value::object()}})}});
  Value side = container("side");
  side.set("restartPolicy", "Always").set("lifecycle", hook);
  Value spec = spec_of({container("a")});
  spec.set("initContainers", Value::array({side}));
  Node node(spec);
  node.start();
  node.hooks.holds = true;
  node.runtime.stubborn = true;
  node.machine->update(make_pod(node.spec, true, 30));
  CHECK(node.hooks.ran == std::vector<std::string>{"side"});
  CHECK(node.runtime.stopped == std::vector<std::string>{"a 30000"});
  node.exit("a", 0);
  CHECK(node.runtime.stopped.size() == 1);
  node.hooks.held.at(0)(make_error(Code::kInternalError, "the secret is 1234"));
  CHECK(node.runtime.stopped.back() == "side 30000");
  CHECK(node.events.said("FailedPreStopHook: PreStopHook failed"));
}

TEST_CASE("when the time is over all sidecars get their signal") {
  Value one = container("one"), two = container("two");
  one.set("restartPolicy", "Always");
  two.set("restartPolicy", "Always");
  Value spec = spec_of({container("a")});
  spec.set("initContainers", Value::array({one, two}));
  Node node(spec);
  node.start();
  node.runtime.stubborn = true;
  node.machine->update(make_pod(node.spec, true, 30));
  node.clock.advance(30000);
  node.exit("a", 137);
  CHECK(node.runtime.stopped == std::vector<std::string>{"a 30000", "two 2000", "one 2000"});
}

TEST_CASE("a failed postStart hook is shown, its words only in the status") {
  Value c = container("a");
  c.set("lifecycle", Value::object({{"postStart", Value::object({{"exec", Value::object()}})}}));
  Node node(spec_of({c}));
  node.hooks.error = "Exec lifecycle hook failed";
  node.start();
  CHECK(node.events.said("FailedPostStartHook: PostStartHook failed"));
  CHECK(node.events.said("Killing: FailedPostStartHook"));
  CHECK(node.status()["state"]["waiting"]["reason"].as_string() == "PostStartHookError");
  CHECK(node.status()["state"]["waiting"]["message"].as_string() == "Exec lifecycle hook failed");
  CHECK(node.status()["lastState"]["terminated"]["exitCode"].as_int() == 143);
}

TEST_CASE("main containers wait as PodInitializing, also when the init containers are done") {
  Value spec = spec_of({container("a")});
  spec.set("initContainers", Value::array({container("i")}));
  Node node(spec);
  node.start();
  node.images.holds = true;
  node.exit("i", 0);
  CHECK(node.status()["state"]["waiting"]["reason"].as_string() == "PodInitializing");
}

TEST_CASE("a command that cannot start says so while it waits for the next try") {
  Node node(spec_of({container("a")}));
  node.runtime.start_error = "no such command";
  node.start();
  CHECK(node.status()["state"]["waiting"]["reason"].as_string() == "RunContainerError");
  CHECK(node.status()["state"]["waiting"]["message"].as_string() == "no such command");
  CHECK(node.status()["lastState"]["terminated"]["reason"].as_string() == "StartError");
  node.clock.advance(10500);
  CHECK(node.status()["state"]["waiting"]["reason"].as_string() == "CrashLoopBackOff");
}

TEST_CASE("rules of a container say after which exits it comes back") {
  Value c = container("a");
  c.set("restartPolicy", "Never");
  c.set("restartPolicyRules",
        *json::parse(R"([{"action":"Restart","exitCodes":{"operator":"In","values":[42,43]}}])"));
  Node node(spec_of({c, container("b")}, "Never"));
  node.start();
  node.exit("a", 42);
  CHECK(node.runtime.started == std::vector<std::string>{"a", "b", "a"});
  CHECK(node.status()["restartCount"].as_int() == 1);
  node.exit("a", 1);
  node.clock.advance(60 * 1000);
  CHECK(node.runtime.started.size() == 3);
  CHECK(node.status()["state"]["terminated"]["exitCode"].as_int() == 1);
}

TEST_CASE(
    "a container that was ready is, when knarr has restarted, until its probe says otherwise") {
  Value c = container("a");
  c.set("readinessProbe", Value::object()).set("startupProbe", Value::object());
  Recovered found;
  found.sandboxes.emplace_back();
  found.sandboxes[0].id = "s";
  found.sandboxes[0].ready = true;
  found.containers.emplace_back();
  found.containers[0].id = "x1";
  found.containers[0].name = "a";
  found.containers[0].state = runtime::ContainerState::kRunning;
  auto told = [&](const char* id) {
    auto object = std::make_shared<Object>(*make_pod(spec_of({c}))->object());
    Value json = *json::parse(object->json);
    Value status =
        Value::object({{"name", "a"}, {"containerID", id}, {"started", true}, {"ready", true}});
    json.set("status", Value::object({{"containerStatuses", Value::array({status})}}));
    object->json = json::write(json);
    return *Pod::parse(object);
  };
  for (bool same : {true, false}) {
    PodRef pod = told(same ? "knarr://x1" : "knarr://x0");
    Remains remains = remains_of(*pod, pod->containers()[0], found, 0);
    CHECK(remains.ready == same);
    Node node(spec_of({c}));
    ContainerMachine machine(
        node.services, "a", [](const std::string&) { return ""; }, [] {});
    machine.recover(pod, "s", {"10.42.0.9"}, remains);
    CHECK(machine.record().started == same);
    CHECK(machine.record().ready == same);
    REQUIRE(node.prober.verdicts.size() == 1);
    CHECK(node.prober.pod_ip == "10.42.0.9");
    if (!same) continue;
    node.prober.verdicts.begin()->second(ProbeKind::kReadiness, false, "");
    CHECK_FALSE(machine.record().ready);
  }
}

TEST_CASE("time that passes while a pod is stopped neither ends its hooks nor signals twice") {
  Value c = container("a");
  c.set("lifecycle", Value::object({{"preStop", Value::object({{"exec", Value::object()}})}}));
  Node node(spec_of({c}));
  node.start();
  node.hooks.holds = true;
  node.runtime.stubborn = true;
  node.clock.ms_per_look = 1;
  PodRef deleted = make_pod(node.spec, true, 30);
  node.machine->update(deleted);
  node.machine->update(deleted);
  CHECK(node.runtime.stopped.empty());  // its hook runs
  node.machine->update(make_pod(node.spec, true, 10));
  CHECK(node.runtime.stopped.size() == 1);
  node.hooks.held.at(0)({});
  CHECK(node.runtime.stopped.size() == 1);
}

TEST_CASE("a sandbox that dies while the network is attached is made anew") {
  Node node(spec_of({container("a")}));
  node.network.holds = true;
  node.start();
  REQUIRE(node.machine->state() == State::kNetwork);
  std::string first = node.machine->sandbox_id();
  node.machine->on_sandbox_exit(first);
  node.network.holds = false;
  node.network.held.at(0)(std::vector<std::string>{"10.42.0.4"});
  node.clock.settle();
  CHECK(node.machine->state() == State::kRunning);
  CHECK(node.machine->sandbox_id() != first);
  CHECK(node.network.attached == std::vector<std::string>{node.machine->sandbox_id()});
  node.machine->forget();
  node.clock.settle();
  CHECK(node.gone);
  CHECK(node.runtime.sandboxes.empty());
}

TEST_CASE("a recovered sandbox that dies while volumes are set up goes with its pod") {
  Node node(spec_of({container("a")}));
  node.volumes.holds = true;
  Recovered found;
  found.sandboxes.emplace_back();
  found.sandboxes[0].id = "s";
  found.sandboxes[0].ready = true;
  node.runtime.sandboxes["s"] = found.sandboxes[0];
  node.start(found);
  node.machine->on_sandbox_exit("s");
  node.volumes.held.at(0)({});
  node.clock.settle();
  CHECK(node.machine->state() == State::kRunning);
  CHECK(node.machine->sandbox_id() != "s");
  node.machine->forget();
  node.clock.settle();
  CHECK(node.gone);
  CHECK(node.runtime.sandboxes.empty());
}

TEST_CASE("a pod deleted during a step that then fails ends without waiting") {
  Node node(spec_of({container("a")}));
  node.network.holds = true;
  node.start();
  node.machine->update(make_pod(node.spec, true, 1));
  node.network.held.at(0)(make_error(Code::kInternalError, "no address is left"));
  node.clock.settle();
  CHECK(node.machine->state() == State::kDone);
  CHECK(node.statuses.finished);
}

TEST_CASE("a crash after a failed postStart hook and a lost sandbox is a crash") {
  Value c = container("a");
  c.set("lifecycle", Value::object({{"postStart", Value::object({{"exec", Value::object()}})}}));
  Node node(spec_of({c}));
  node.hooks.error = "Exec lifecycle hook failed";
  node.runtime.stubborn = true;
  node.start();
  node.hooks.error.clear();
  node.machine->on_sandbox_exit(node.machine->sandbox_id());
  node.clock.settle();
  REQUIRE(node.phase() == "Running");
  node.runtime.exit(node.runtime.containers.rbegin()->first, 1);
  CHECK(node.status()["state"]["waiting"]["reason"].as_string() != "PostStartHookError");
}
