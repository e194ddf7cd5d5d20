// What a node refuses that the scheduler, or who named the node himself, gave it.
#include "agent/admission.h"

#include <catch2/catch.hpp>

#include "fake_node.h"

using namespace knarr;
using namespace knarr::agent;
using namespace knarr::test;
using json::Value;

namespace {

PodRef pod_of(const std::string& spec) { return make_pod(*json::parse(spec)); }

constexpr char kOnPort80[] = R"({"containers":[{"name":"a","ports":[
    {"containerPort":80,"hostPort":80,"protocol":"TCP"}]}]})";

}  // namespace

TEST_CASE("what a node does not take, and why") {
  NodeRoom room;
  room.allocatable = *json::parse(R"({"cpu":"2","memory":"4Gi","pods":"3"})");
  room.labels = *json::parse(R"({"kubernetes.io/os":"linux","disk":"ssd"})");
  room.pods = {pod_of(kOnPort80)};
  auto check = [&](const std::string& members, const std::string& reason,
                   const std::string& message) {
    Admission verdict = admit(*pod_of("{\"containers\":[{\"name\":\"a\"}]" + members + "}"), room);
    CHECK(verdict.reason == reason);
    CHECK(verdict.message == message);
  };
  check("", "", "");
  check(R"(,"nodeSelector":{"disk":"ssd"})", "", "");
  check(R"(,"nodeSelector":{"disk":"hdd"})", "NodeAffinity",
        "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector");
  check(R"(,"nodeSelector":{"kubernetes.io/os":"windows"})", "PodOSSelectorNodeLabelDoesNotMatch",
        "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label");
  check(R"(,"os":{"name":"windows"})", "PodOSNotSupported",
        "Failed to admit pod as the OS field doesn't match node OS");
  check(R"(,"os":{"name":"linux"})", "", "");
  const char* app_armor = "Cannot enforce AppArmor: AppArmor is not enabled on the host";
  check(R"(,"securityContext":{"appArmorProfile":{"type":"RuntimeDefault"}})", "AppArmor",
        app_armor);
  check(R"(,"securityContext":{"appArmorProfile":{"type":"Unconfined"}})", "", "");
}

TEST_CASE("a port of the host is one pod's") {
  NodeRoom room;
  room.pods = {pod_of(kOnPort80)};
  auto check = [&](const std::string& port, bool taken) {
    PodRef pod = pod_of(R"({"containers":[{"name":"a","ports":[)" + port + "]}]}");
    CHECK(admit(*pod, room).reason == (taken ? "NodePorts" : ""));
  };
  check(R"({"containerPort":1,"hostPort":80})", true);
  check(R"({"containerPort":1,"hostPort":80,"hostIP":"127.0.0.1"})", true);
  check(R"({"containerPort":1,"hostPort":80,"protocol":"UDP"})", false);
  check(R"({"containerPort":80})", false);
}
