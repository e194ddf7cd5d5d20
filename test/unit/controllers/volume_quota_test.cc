// Which volume a claim gets, and what an object takes of a quota.
#include <catch2/catch.hpp>

#include "api/view/quota.h"
#include "api/view/volume.h"

using namespace knarr;       // NOLINT
using namespace knarr::api;  // NOLINT

namespace {

json::Value parse(const std::string& text) {
  auto value = json::parse(text);
  REQUIRE(value.ok());
  return std::move(value).value();
}

json::Value volume(const std::string& name, const std::string& size, const std::string& more = "") {
  return parse(R"({"metadata": {"name": ")" + name + R"(", "labels": {"l": ")" + name +
               R"("}}, "spec": {"capacity": {"storage": ")" + size +
               R"("}, "accessModes": ["ReadWriteOnce"])" + more +
               R"(}, "status": {"phase": "Available"}})");
}

}  // namespace

TEST_CASE("the volume that a claim gets") {
  std::vector<json::Value> volumes{
      volume("big", "10Gi"),
      volume("small", "1Gi"),
      volume("block", "1Gi", R"(, "volumeMode": "Block")"),
      volume("gold", "2Gi", R"(, "storageClassName": "gold")"),
      volume("kept", "50Gi", R"(, "claimRef": {"namespace": "ns", "name": "mine"})"),
      volume("others", "1Gi", R"(, "claimRef": {"namespace": "ns", "name": "x", "uid": "u"})"),
      volume("far", "1Mi", R"(, "nodeAffinity": {"required": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "z", "operator": "In", "values": ["1"]}]}]}})"),
  };
  struct Case {
    const char* name;
    const char* spec;
    const char* volume;
  };
  for (const Case& c : {
           Case{"c", R"("resources": {"requests": {"storage": "1Gi"}})", "small"},
           Case{"c", R"("resources": {"requests": {"storage": "2Gi"}})", "big"},
           Case{"c", R"("resources": {"requests": {"storage": "20Gi"}})", ""},
           Case{"mine", R"("resources": {"requests": {"storage": "1Gi"}})", "kept"},
           Case{"c", R"("volumeMode": "Block")", "block"},
           Case{"c", R"("storageClassName": "gold")", "gold"},
           Case{"c", R"("accessModes": ["ReadWriteMany"])", ""},
           Case{"c", R"("selector": {"matchLabels": {"l": "big"}})", "big"},
       }) {
    json::Value claim = parse(std::string(R"({"metadata": {"namespace": "ns", "name": ")") +
                              c.name + R"(", "uid": "1"}, "spec": {)" + c.spec + "}}");
    CHECK(find_volume(volumes, claim, {}) == c.volume);
  }
  json::Value any = parse(R"({"metadata": {"namespace": "ns", "name": "c"}, "spec": {}})");
  Labels near{{"z", "2"}};
  VolumeChoice choice;
  CHECK(find_volume(volumes, any, choice) == "far");
  choice.node_labels = &near;
  CHECK(find_volume(volumes, any, choice) == "small");
  choice.taken = [](const std::string& name) { return name == "small"; };
  CHECK(find_volume(volumes, any, choice) == "big");
  VolumeChoice delayed;
  delayed.delayed = true;
  CHECK(find_volume(volumes, any, delayed).empty());
}

TEST_CASE("why a volume is not what a claim asks for") {
  struct Case {
    const char* claim;
    const char* why;
  };
  json::Value v = volume("v", "1Gi");
  for (const Case& c : {
           Case{R"({"spec": {}})", ""},
           Case{R"({"spec": {"resources": {"requests": {"storage": "2Gi"}}}})",
                "requested PV is too small"},
           Case{R"({"spec": {"storageClassName": "x"}})", "storageClassName does not match"},
           Case{R"({"spec": {"volumeMode": "Block"}})", "incompatible volumeMode"},
           Case{R"({"spec": {"accessModes": ["ReadWriteMany"]}})", "incompatible accessMode"},
       }) {
    CHECK(claim_mismatch(v, parse(c.claim)) == c.why);
  }
}

TEST_CASE("what an object takes of a quota") {
  struct Case {
    const char* group;
    const char* plural;
    const char* object;
    const char* usage;
  };
  for (
      const Case& c : {
          Case{"apps", "deployments", "{}", R"({"count/deployments.apps":"1"})"},
          Case{"", "secrets", "{}", R"({"count/secrets":"1","secrets":"1"})"},
          Case{"", "services",
               R"({"spec": {"type": "LoadBalancer", "ports": [{"port": 1}, {"port": 2}]}})",
               R"({"count/services":"1","services":"1","services.loadbalancers":"1",)"
               R"("services.nodeports":"2"})"},
          Case{"", "pods", R"({"status": {"phase": "Failed"}})", R"({"count/pods":"1"})"},
          Case{"", "pods",
               R"({"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1",
                    "example.com/gpu": "1"}, "limits": {"cpu": "2"}}}]}})",
               R"({"count/pods":"1","cpu":"1","limits.cpu":"2","pods":"1","requests.cpu":"1",)"
               R"("requests.example.com/gpu":"1"})"},
          Case{
              "", "persistentvolumeclaims",
              R"({"spec": {"storageClassName": "g", "resources": {"requests": {"storage": "2Gi"}}}})",
              R"({"count/persistentvolumeclaims":"1",)"
              R"("g.storageclass.storage.k8s.io/persistentvolumeclaims":"1",)"
              R"("g.storageclass.storage.k8s.io/requests.storage":"2Gi",)"
              R"("persistentvolumeclaims":"1","requests.storage":"2Gi"})"},
      }) {
    json::Value object = parse(c.object);
    CHECK(json::write(resource_list(quota_usage({c.group, c.plural, object, 0}))) == c.usage);
  }
}

TEST_CASE("the scopes of a quota") {
  struct Case {
    const char* spec;
    const char* pod;
    bool in;
  };
  const char* ends = R"({"spec": {"activeDeadlineSeconds": 5, "priorityClassName": "high"},
                         "status": {"qosClass": "Burstable"}})";
  for (const Case& c : {
           Case{R"({})", ends, true},
           Case{R"({"scopes": ["Terminating"]})", ends, true},
           Case{R"({"scopes": ["NotTerminating"]})", ends, false},
           Case{R"({"scopes": ["Terminating", "BestEffort"]})", ends, false},
           Case{R"({"scopes": ["NotBestEffort"]})", ends, true},
           Case{R"({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass",
                    "operator": "In", "values": ["high"]}]}})",
                ends, true},
           Case{R"({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass",
                    "operator": "NotIn", "values": ["high"]}]}})",
                ends, false},
           Case{R"({"scopes": ["PriorityClass"]})", ends, true},
           Case{R"({"scopes": ["CrossNamespacePodAffinity"]})", ends, false},
       }) {
    json::Value pod = parse(c.pod);
    CHECK(in_quota_scopes(parse(c.spec), {"", "pods", pod, 0}) == c.in);
  }
}
