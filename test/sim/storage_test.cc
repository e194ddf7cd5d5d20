// Volumes and claims find each other, are kept while they are used, and let go.
#include <catch2/catch.hpp>
#include <set>

#include "api/view/meta.h"
#include "cluster.h"

using namespace knarr;          // NOLINT
using namespace knarr::server;  // NOLINT
using knarr::sim::Cluster;

namespace {

json::Value parse(const std::string& text) {
  auto value = json::parse(text);
  REQUIRE(value.ok());
  return std::move(value).value();
}

json::Value volume(const std::string& name, const std::string& size, const std::string& more = "") {
  return parse(R"({"metadata": {"name": ")" + name + R"("}, "spec": {"capacity": {"storage": ")" +
               size + R"("}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/data"},
               "storageClassName": "manual")" +
               more + "}}");
}

json::Value claim(const std::string& name, const std::string& size, const std::string& more = "") {
  return parse(R"({"metadata": {"name": ")" + name + R"("}, "spec": {
    "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": ")" +
               size + R"("}})" + more + "}}");
}

constexpr const char* kManual = R"(, "storageClassName": "manual")";

json::Value user_of(const std::string& claim_name, const std::string& name = "user") {
  return parse(R"({"metadata": {"name": ")" + name + R"("}, "spec": {
    "containers": [{"name": "c", "image": "i"}],
    "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": ")" +
               claim_name + R"("}}]}})");
}

struct Disks : Cluster {
  Disks() : Cluster(3) {
    start();
    add_node("n1", "4", {{"disk", "near"}});
    add_node("n2", "4", {{"disk", "far"}});
    REQUIRE(eventually([&] {
      return !get(kServiceAccounts, {"default", "default"}).is_null() &&
             get(kNodes, {"", "n1"})["spec"]["taints"].empty() &&
             get(kNodes, {"", "n2"})["spec"]["taints"].empty();
    }));
  }
  void make_volume(json::Value v) { REQUIRE(create(kVolumes, "", std::move(v)).ok()); }
  void make_claim(json::Value c) { REQUIRE(create(kClaims, "default", std::move(c)).ok()); }
  void make_class(const char* text) { REQUIRE(create(kStorageClasses, "", parse(text)).ok()); }
  std::string phase(const ResourceName& r, const std::string& name) {
    return get(r, {r.key() == kClaims.key() ? "default" : "", name})["status"]["phase"].text();
  }
  std::string volume_of(const std::string& claim_name) {
    return get(kClaims, {"default", claim_name})["spec"]["volumeName"].text();
  }
  bool reaches(const ResourceName& r, const std::string& name, const char* wanted) {
    return eventually([&] { return phase(r, name) == wanted; });
  }
  bool told(const std::string& reason) {
    return eventually([&] {
      for (const json::Value& e : list({"", "v1", "events", "Event"}, "default")) {
        if (e["reason"].as_string() == reason) return true;
      }
      return false;
    });
  }
};

}  // namespace

TEST_CASE("a claim gets the smallest volume that is large enough") {
  Disks c;
  c.make_volume(volume("small", "1Gi"));
  c.make_volume(volume("big", "10Gi"));
  c.make_volume(volume("huge", "100Gi"));
  REQUIRE(c.reaches(kVolumes, "huge", "Available"));
  c.make_claim(claim("five", "5Gi", kManual));
  c.make_claim(claim("named", "2Gi", R"(, "storageClassName": "manual", "volumeName": "huge")"));
  c.make_claim(claim("absurd", "500Gi", kManual));
  REQUIRE(c.reaches(kClaims, "five", "Bound"));
  REQUIRE(c.reaches(kClaims, "named", "Bound"));
  CHECK(c.volume_of("five") == "big");
  json::Value five = c.get(kClaims, {"default", "five"});
  CHECK(five["status"]["capacity"]["storage"].as_string() == "10Gi");
  CHECK(five["metadata"]["annotations"].size() == 2);
  // Who asked for a volume by name was not bound by the controller.
  CHECK(c.get(kClaims, {"default", "named"})["metadata"]["annotations"].size() == 1);
  CHECK(c.phase(kVolumes, "big") == "Bound");
  CHECK(c.phase(kClaims, "absurd") == "Pending");
  // A volume that comes later is found too.
  c.make_volume(volume("absurd", "1Ti"));
  CHECK(c.reaches(kClaims, "absurd", "Bound"));
}

TEST_CASE("a claim in use stays until its pod has gone, its volume is released then") {
  Disks c;
  c.make_volume(volume("v", "1Gi"));
  c.make_claim(claim("data", "1Gi", kManual));
  REQUIRE(c.reaches(kClaims, "data", "Bound"));
  REQUIRE(c.create(kPods, "default", user_of("data")).ok());
  REQUIRE(c.eventually([&] {
    return c.get(kPods, {"default", "user"})["status"]["phase"].as_string() == "Running";
  }));
  REQUIRE(c.remove(kClaims, {"default", "data"}).ok());
  c.clock.run_for(10000);
  CHECK(c.get(kClaims, {"default", "data"})["metadata"].has("deletionTimestamp"));
  REQUIRE(c.remove(kPods, {"default", "user"}).ok());
  CHECK(c.eventually([&] { return c.get(kClaims, {"default", "data"}).is_null(); }));
  CHECK(c.reaches(kVolumes, "v", "Released"));
  // Nobody gets it until its claimRef is taken away by hand.
  REQUIRE(c.patch(kVolumes, {"", "v"}, R"({"spec":{"claimRef":null}})").ok());
  CHECK(c.reaches(kVolumes, "v", "Available"));
  REQUIRE(c.remove(kVolumes, {"", "v"}).ok());
  CHECK(c.eventually([&] { return c.get(kVolumes, {"", "v"}).is_null(); }));
}

TEST_CASE("a bound claim whose volume vanishes is lost") {
  Disks c;
  c.make_volume(volume("v", "1Gi"));
  c.make_claim(claim("data", "1Gi", kManual));
  REQUIRE(c.reaches(kClaims, "data", "Bound"));
  REQUIRE(c.remove(kVolumes, {"", "v"}).ok());
  REQUIRE(c.patch(kVolumes, {"", "v"}, R"({"metadata":{"finalizers":null}})").ok());
  CHECK(c.reaches(kClaims, "data", "Lost"));
  CHECK(c.told("ClaimLost"));
}

TEST_CASE("a claim that waits for its consumer is bound where the pod can use it") {
  Disks c;
  c.make_class(R"({"metadata": {"name": "local"}, "provisioner": "kubernetes.io/no-provisioner",
                   "volumeBindingMode": "WaitForFirstConsumer"})");
  json::Value v = volume("far", "1Gi", R"(, "nodeAffinity": {"required": {"nodeSelectorTerms": [
    {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["far"]}]}]}})");
  v.member("spec").set("storageClassName", "local");
  c.make_volume(std::move(v));
  c.make_claim(claim("data", "1Gi", R"(, "storageClassName": "local")"));
  CHECK(c.told("WaitForFirstConsumer"));
  c.clock.run_for(30000);
  CHECK(c.phase(kClaims, "data") == "Pending");
  REQUIRE(c.create(kPods, "default", user_of("data")).ok());
  CHECK(c.eventually([&] {
    return c.get(kPods, {"default", "user"})["spec"]["nodeName"].as_string() == "n2";
  }));
  CHECK(c.reaches(kClaims, "data", "Bound"));
  CHECK(c.get(kPods, {"default", "user"})["status"]["nominatedNodeName"].is_null());
  // The only volume is taken: the next has to wait.
  c.make_claim(claim("more", "1Gi", R"(, "storageClassName": "local")"));
  REQUIRE(c.create(kPods, "default", user_of("more", "late")).ok());
  CHECK(c.eventually([&] {
    json::Value p = c.get(kPods, {"default", "late"});
    return api::condition(p["status"]["conditions"], "PodScheduled")["message"].text().find(
               "2 node(s) didn't find available persistent volumes to bind") != std::string::npos;
  }));
}

TEST_CASE("a provisioner is told which node, and the pod waits for its volume") {
  Disks c;
  c.make_class(R"({"metadata": {"name": "made"}, "provisioner": "example.com/disk",
                   "volumeBindingMode": "WaitForFirstConsumer"})");
  c.make_claim(claim("data", "1Gi", R"(, "storageClassName": "made")"));
  json::Value pod = user_of("data");
  pod.member("spec").set("nodeSelector", json::Value::object({{"disk", "near"}}));
  REQUIRE(c.create(kPods, "default", std::move(pod)).ok());
  REQUIRE(c.eventually([&] {
    const json::Value data = c.get(kClaims, {"default", "data"});
    const json::Value& notes = data["metadata"]["annotations"];
    return notes["volume.kubernetes.io/selected-node"].as_string() == "n1" &&
           notes["volume.kubernetes.io/storage-provisioner"].as_string() == "example.com/disk";
  }));
  CHECK(c.get(kPods, {"default", "user"})["status"]["nominatedNodeName"].as_string() == "n1");
  CHECK(c.get(kPods, {"default", "user"})["spec"]["nodeName"].is_null());
  // What a provisioner does.
  json::Value v = volume("made-for-data", "1Gi");
  v.member("spec").set("storageClassName", "made");
  v.member("spec").set("claimRef", api::object_reference(c.get(kClaims, {"default", "data"})));
  c.make_volume(std::move(v));
  CHECK(c.eventually([&] {
    return c.get(kPods, {"default", "user"})["spec"]["nodeName"].as_string() == "n1";
  }));
  CHECK(c.volume_of("data") == "made-for-data");
}

TEST_CASE("two pods that want the same kind of volume get one each, faults or not") {
  Disks c;
  c.make_class(R"({"metadata": {"name": "local"}, "provisioner": "kubernetes.io/no-provisioner",
                   "volumeBindingMode": "WaitForFirstConsumer"})");
  for (const char* name : {"a", "b", "c"}) {
    json::Value v = volume(name, "1Gi");
    v.member("spec").set("storageClassName", "local");
    c.make_volume(std::move(v));
    c.make_claim(claim(std::string("claim-") + name, "1Gi", R"(, "storageClassName": "local")"));
  }
  c.set_faults({50, 20});
  for (const char* name : {"a", "b", "c"}) {
    while (!c.create(kPods, "default", user_of(std::string("claim-") + name, name)).ok()) {
    }
  }
  CHECK(c.eventually(
      [&] {
        std::set<std::string> used;
        for (const char* name : {"a", "b", "c"}) {
          if (c.phase(kClaims, std::string("claim-") + name) != "Bound") return false;
          used.insert(c.volume_of(std::string("claim-") + name));
          if (c.get(kPods, {"default", name})["spec"]["nodeName"].is_null()) return false;
        }
        return used.size() == 3;
      },
      600000));
}

TEST_CASE("an ephemeral volume has a claim that lives as long as its pod") {
  Disks c;
  c.make_volume(volume("v", "1Gi"));
  REQUIRE(c.create(kPods, "default", parse(R"({"metadata": {"name": "p"}, "spec": {
    "containers": [{"name": "c", "image": "i"}],
    "volumes": [{"name": "scratch", "ephemeral": {"volumeClaimTemplate": {
      "metadata": {"labels": {"l": "x"}},
      "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "manual",
               "resources": {"requests": {"storage": "1Gi"}}}}}}]}})"))
              .ok());
  REQUIRE(c.eventually([&] {
    return c.get(kPods, {"default", "p"})["status"]["phase"].as_string() == "Running";
  }));
  json::Value made = c.get(kClaims, {"default", "p-scratch"});
  CHECK(made["metadata"]["labels"]["l"].as_string() == "x");
  CHECK(made["metadata"]["ownerReferences"][0]["kind"].as_string() == "Pod");
  REQUIRE(c.remove(kPods, {"default", "p"}).ok());
  CHECK(c.eventually([&] { return c.get(kClaims, {"default", "p-scratch"}).is_null(); }));
}
