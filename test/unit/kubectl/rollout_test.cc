#include <catch2/catch.hpp>

#include "cli/kubectl/pod_choice.h"
#include "cli/kubectl/remote.h"
#include "cli/kubectl/rollout_text.h"
#include "cli/kubectl/wait_condition.h"
#include "unit/kubectl/value.h"

using namespace knarr::kubectl;

TEST_CASE("rollout status") {
  struct Case {
    const char* object;
    const char* text;
    bool done;
  };
  const Case cases[] = {
      {"{kind: Deployment, metadata: {name: web, generation: 2}, spec: {replicas: 3}, "
       "status: {observedGeneration: 1}}",
       "Waiting for deployment spec update to be observed...\n", false},
      {"{kind: Deployment, metadata: {name: web, generation: 1}, spec: {replicas: 3}, "
       "status: {observedGeneration: 1, updatedReplicas: 1}}",
       "Waiting for deployment \"web\" rollout to finish: 1 out of 3 new replicas have been "
       "updated...\n",
       false},
      {"{kind: Deployment, metadata: {name: web, generation: 1}, spec: {replicas: 3}, "
       "status: {observedGeneration: 1, updatedReplicas: 3, replicas: 4}}",
       "Waiting for deployment \"web\" rollout to finish: 1 old replicas are pending "
       "termination...\n",
       false},
      {"{kind: Deployment, metadata: {name: web, generation: 1}, spec: {replicas: 3}, "
       "status: {observedGeneration: 1, updatedReplicas: 3, replicas: 3, availableReplicas: 2}}",
       "Waiting for deployment \"web\" rollout to finish: 2 of 3 updated replicas are "
       "available...\n",
       false},
      {"{kind: Deployment, metadata: {name: web, generation: 1}, spec: {replicas: 3}, "
       "status: {observedGeneration: 1, updatedReplicas: 3, replicas: 3, availableReplicas: 3}}",
       "deployment \"web\" successfully rolled out\n", true},
      {"{kind: DaemonSet, metadata: {name: d}, spec: {updateStrategy: {type: RollingUpdate}}, "
       "status: {desiredNumberScheduled: 2, updatedNumberScheduled: 2, numberAvailable: 1}}",
       "Waiting for daemon set \"d\" rollout to finish: 1 of 2 updated pods are available...\n",
       false},
      {"{kind: StatefulSet, metadata: {name: s, generation: 1}, "
       "spec: {replicas: 2, updateStrategy: {type: RollingUpdate}}, "
       "status: {observedGeneration: 1, readyReplicas: 1}}",
       "Waiting for 1 pods to be ready...\n", false},
      {"{kind: StatefulSet, metadata: {name: s, generation: 1}, "
       "spec: {replicas: 2, updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 1}}}, "
       "status: {observedGeneration: 1, readyReplicas: 2, updatedReplicas: 1}}",
       "partitioned roll out complete: 1 new pods have been updated...\n", true},
      {"{kind: StatefulSet, metadata: {name: s, generation: 1}, "
       "spec: {replicas: 2, updateStrategy: {type: RollingUpdate}}, "
       "status: {observedGeneration: 1, readyReplicas: 2, currentReplicas: 2, "
       "updateRevision: s-1, currentRevision: s-1}}",
       "statefulset rolling update complete 2 pods at revision s-1...\n", true},
  };
  for (const Case& c : cases) {
    auto state = rollout_state(yaml(c.object), 0);
    REQUIRE(state.ok());
    CHECK(state->text == c.text);
    CHECK(state->done == c.done);
  }
}

TEST_CASE("rollouts that can't end") {
  auto message = [](const char* object, int64_t revision) {
    return rollout_state(yaml(object), revision).error().message;
  };
  CHECK(message("{kind: Deployment, metadata: {name: web}, status: {conditions: "
                "[{type: Progressing, reason: ProgressDeadlineExceeded}]}}",
                0) == "deployment \"web\" exceeded its progress deadline");
  CHECK(message("{kind: Deployment, metadata: {name: web, annotations: "
                "{deployment.kubernetes.io/revision: '2'}}}",
                1) == "desired revision (1) is different from the running revision (2)");
  CHECK(message("{kind: DaemonSet, spec: {updateStrategy: {type: OnDelete}}}", 0) ==
        "rollout status is only available for RollingUpdate strategy type");
  CHECK(message("{kind: Job}", 0) == "no status viewer has been implemented for Job");
}

TEST_CASE("history") {
  CHECK(history_text({{1, "", {}}, {12, "new image", {}}}) ==
        "REVISION  CHANGE-CAUSE\n1         <none>\n12        new image\n");
}

TEST_CASE("exit status of a remote command") {
  CHECK(*exit_status(R"({"status":"Success"})") == 0);
  CHECK(*exit_status(R"({"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[)"
                     R"({"reason":"ExitCode","message":"42"}]}})") == 42);
  CHECK(exit_status(R"({"status":"Failure","message":"no such file"})").error().message ==
        "no such file");
  CHECK_FALSE(exit_status("what").ok());
}

TEST_CASE("which container") {
  auto pod = yaml(
      "{metadata: {name: p}, spec: {containers: [{name: a}, {name: b}], "
      "initContainers: [{name: i}]}}");
  CHECK(choose_container(pod, "b")->name == "b");
  CHECK(choose_container(pod, "i")->name == "i");
  CHECK(choose_container(pod, "")->name == "a");
  CHECK(choose_container(pod, "")->note == "Defaulted container \"a\" out of: a, b, i (init)\n");
  CHECK(choose_container(pod, "z").error().message == "container z not found in pod p");
  auto annotated = yaml(
      "{metadata: {annotations: {kubectl.kubernetes.io/default-container: b}}, "
      "spec: {containers: [{name: a}, {name: b}]}}");
  CHECK(choose_container(annotated, "")->name == "b");
  CHECK(choose_container(yaml("{spec: {containers: [{name: a}]}}"), "")->note.empty());
}

TEST_CASE("what wait waits for") {
  struct Case {
    const char* condition;
    const char* object;
    bool met;
  };
  const Case cases[] = {
      {"condition=Ready", "{status: {conditions: [{type: Ready, status: 'True'}]}}", true},
      {"condition=ready", "{status: {conditions: [{type: Ready, status: 'True'}]}}", true},
      {"condition=Ready", "{status: {conditions: [{type: Ready, status: 'False'}]}}", false},
      {"condition=Ready=false", "{status: {conditions: [{type: Ready, status: 'False'}]}}", true},
      {"condition=Ready", "{}", false},
      {"condition=Available",
       "{metadata: {generation: 2}, status: {conditions: [{type: Available, status: 'True', "
       "observedGeneration: 1}]}}",
       false},
      {"jsonpath={.status.phase}=Running", "{status: {phase: Running}}", true},
      {"jsonpath={.status.phase}=Running", "{status: {phase: Pending}}", false},
      {"jsonpath={.status.phase}", "{status: {phase: Pending}}", true},
      {"jsonpath={.status.phase}", "{}", false},
      {"jsonpath={.a[?(@.b==\"c\")].d}=1", "{a: [{b: c, d: 1}]}", true},
      {"delete", "{}", false},
      {"delete", "null", true},
      {"create", "{}", true},
  };
  for (const Case& c : cases) {
    INFO(c.condition);
    auto condition = WaitCondition::parse(c.condition);
    REQUIRE(condition.ok());
    CHECK(condition->is_met(yaml(c.object)) == c.met);
  }
  CHECK(WaitCondition::parse("foo").error().message == "unrecognized condition: \"foo\"");
}
