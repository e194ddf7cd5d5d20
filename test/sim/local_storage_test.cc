// Volumes that are directories of nodes, from the claim to what is left of it. The nodes' own part
// is played here.
#include <catch2/catch.hpp>

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

json::Value claim(const std::string& name, const std::string& more = "",
                  const char* mode = "ReadWriteOnce") {
  return parse(R"({"metadata": {"name": ")" + name + R"("}, "spec": {"accessModes": [")" + mode +
               R"("], "resources": {"requests": {"storage": "1Gi"}})" + more + "}}");
}

json::Value user_of(const std::string& claim_name) {
  return parse(R"({"metadata": {"name": "user"}, "spec": {
    "containers": [{"name": "c", "image": "i"}],
    "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": ")" +
               claim_name + R"("}}]}})");
}

constexpr ResourceName kEvents{"", "v1", "events", "Event"};

struct Disks : Cluster {
  explicit Disks(uint64_t seed = 5) : Cluster(seed) {
    start();
    for (const char* node : {"n1", "n2"}) {
      add_node(node, "4", {{"kubernetes.io/hostname", node}});
      REQUIRE(patch(kNodes, {"", node},
                    R"({"metadata":{"annotations":{"knarr.io/local-storage-path":"/s"}}})")
                  .ok());
    }
    REQUIRE(eventually([&] {
      return !get(kServiceAccounts, {"default", "default"}).is_null() &&
             !get(kStorageClasses, {"", "local-path"}).is_null() &&
             get(kNodes, {"", "n1"})["spec"]["taints"].empty() &&
             get(kNodes, {"", "n2"})["spec"]["taints"].empty();
    }));
  }
  bool bound(const std::string& name) {
    return eventually([&] {
      return get(kClaims, {"default", name})["status"]["phase"].as_string() == "Bound";
    });
  }
  json::Value volume_of(const std::string& name) {
    return get(kVolumes, {"", get(kClaims, {"default", name})["spec"]["volumeName"].text()});
  }
  std::string told(const std::string& reason) {
    std::string message;
    eventually([&] {
      for (const json::Value& e : list(kEvents, "default")) {
        if (e["reason"].as_string() == reason) message = e["message"].text();
      }
      return !message.empty();
    });
    return message;
  }
  // The volume of a claim that a pod uses.
  std::string use(const std::string& name) {
    REQUIRE(create(kClaims, "default", claim(name)).ok());
    REQUIRE(create(kPods, "default", user_of(name)).ok());
    REQUIRE(bound(name));
    return volume_of(name)["metadata"]["name"].text();
  }
  void leave(const std::string& name) {
    REQUIRE(remove(kPods, {"default", "user"}).ok());
    REQUIRE(remove(kClaims, {"default", name}).ok());
    REQUIRE(eventually([&] { return get(kClaims, {"default", name}).is_null(); }));
  }
  bool waits_for_its_node(const std::string& volume) {
    return eventually([&] {
      json::Value v = get(kVolumes, {"", volume});
      const json::Value& finalizers = v["metadata"]["finalizers"];
      return v["metadata"].has("deletionTimestamp") && finalizers.size() == 1 &&
             finalizers[0].as_string() == "knarr.io/local-storage";
    });
  }
};

}  // namespace

TEST_CASE("a claim that names no class is given a directory of its pod's node") {
  Disks c;
  REQUIRE(c.create(kClaims, "default", claim("data")).ok());
  CHECK(c.get(kClaims, {"default", "data"})["spec"]["storageClassName"].as_string() ==
        "local-path");
  CHECK(c.told("WaitForFirstConsumer") ==
        "waiting for first consumer to be created before binding");
  json::Value pod = user_of("data");
  pod.member("spec").set("nodeSelector", json::Value::object({{"kubernetes.io/hostname", "n2"}}));
  REQUIRE(c.create(kPods, "default", std::move(pod)).ok());
  REQUIRE(c.bound("data"));
  json::Value volume = c.volume_of("data");
  CHECK(volume["spec"]["hostPath"]["path"].text() ==
        "/s/" + volume["metadata"]["name"].text() + "_default_data");
  CHECK(volume["metadata"]["labels"]["knarr.io/local-storage-node"].as_string() == "n2");
  CHECK(c.told("Provisioning") ==
        "External provisioner is provisioning volume for claim \"default/data\"");
  CHECK(c.told("ProvisioningSucceeded") ==
        "Successfully provisioned volume " + volume["metadata"]["name"].text());
  CHECK(c.told("ExternalProvisioning").find("'knarr.io/local-path'") != std::string::npos);
  CHECK(c.eventually([&] {
    return c.get(kPods, {"default", "user"})["status"]["phase"].as_string() == "Running";
  }));
}

TEST_CASE("a directory that nobody claims any more waits for its node, or stays") {
  Disks c;
  std::string deleted = c.use("gone");
  c.leave("gone");
  REQUIRE(c.waits_for_its_node(deleted));
  c.clock.run_for(60000);
  CHECK_FALSE(c.get(kVolumes, {"", deleted}).is_null());
  REQUIRE(c.patch(kVolumes, {"", deleted}, R"({"metadata":{"finalizers":null}})").ok());
  CHECK(c.eventually([&] { return c.get(kVolumes, {"", deleted}).is_null(); }));

  std::string kept = c.use("kept");
  REQUIRE(
      c.patch(kVolumes, {"", kept}, R"({"spec":{"persistentVolumeReclaimPolicy":"Retain"}})").ok());
  c.leave("kept");
  CHECK(c.eventually([&] {
    return c.get(kVolumes, {"", kept})["status"]["phase"].as_string() == "Released";
  }));
  c.clock.run_for(60000);
  CHECK_FALSE(c.get(kVolumes, {"", kept})["metadata"].has("deletionTimestamp"));
  // Its object may go: the directory stays, without a word from its node.
  REQUIRE(c.remove(kVolumes, {"", kept}).ok());
  CHECK(c.eventually([&] { return c.get(kVolumes, {"", kept}).is_null(); }));
}

TEST_CASE("the volume of a node that is no more goes with its object") {
  Disks c;
  std::string volume = c.use("data");
  json::Value there = c.volume_of("data");
  std::string node = there["metadata"]["labels"]["knarr.io/local-storage-node"].text();
  c.leave("data");
  REQUIRE(c.waits_for_its_node(volume));
  c.silence(node);
  REQUIRE(c.remove(kNodes, {"", node}).ok());
  CHECK_FALSE(c.eventually([&] { return c.get(kVolumes, {"", volume}).is_null(); }, 290000));
  CHECK(c.eventually([&] { return c.get(kVolumes, {"", volume}).is_null(); }, 20000));
}

TEST_CASE("a node that is deleted and joins again removes its directories") {
  Disks c;
  std::string volume = c.use("data");
  json::Value there = c.volume_of("data");
  std::string node = there["metadata"]["labels"]["knarr.io/local-storage-node"].text();
  c.leave("data");
  REQUIRE(c.waits_for_its_node(volume));
  for (int times = 0; times < 3; times++) {
    c.silence(node);
    REQUIRE(c.remove(kNodes, {"", node}).ok());
    c.clock.run_for(240000);
    REQUIRE(c.waits_for_its_node(volume));
    c.add_node(node);
    c.clock.run_for(240000);
  }
  CHECK(c.waits_for_its_node(volume));
}

TEST_CASE("without a provisioner, volumes from before can be deleted still") {
  Disks c;
  std::string volume = c.use("data");
  c.set_local_storage(false);
  c.restart();
  c.leave("data");
  REQUIRE(c.waits_for_its_node(volume));
  REQUIRE(c.patch(kVolumes, {"", volume}, R"({"metadata":{"finalizers":null}})").ok());
  CHECK(c.eventually([&] { return c.get(kVolumes, {"", volume}).is_null(); }));
  // None are made any more, and the class does not come back.
  REQUIRE(c.create(kClaims, "default", claim("more")).ok());
  REQUIRE(c.create(kPods, "default", user_of("more")).ok());
  CHECK_FALSE(c.eventually([&] { return c.list(kVolumes, "").size() > 0; }));
  REQUIRE(c.remove(kStorageClasses, {"", "local-path"}).ok());
  c.restart();
  c.clock.run_for(1000);
  CHECK(c.get(kStorageClasses, {"", "local-path"}).is_null());
}

TEST_CASE("what a directory cannot be is said once it is asked for") {
  Disks c;
  REQUIRE(c.create(kClaims, "default", claim("many", "", "ReadWriteMany")).ok());
  REQUIRE(c.create(kPods, "default", user_of("many")).ok());
  CHECK(c.told("ProvisioningFailed") ==
        "failed to provision volume with StorageClass \"local-path\": NodePath only supports "
        "ReadWriteOnce and ReadWriteOncePod (1.22+) access modes");
  Disks d;
  REQUIRE(d.create(kClaims, "default", claim("block", R"(, "volumeMode": "Block")")).ok());
  REQUIRE(d.create(kPods, "default", user_of("block")).ok());
  CHECK(d.told("ProvisioningFailed") ==
        "knarr.io/local-path does not support block volume provisioning");
  Disks e;
  REQUIRE(e.create(kStorageClasses, "", parse(R"({"metadata": {"name": "at-once"},
      "provisioner": "rancher.io/local-path"})"))
              .ok());
  REQUIRE(e.create(kClaims, "default", claim("now", R"(, "storageClassName": "at-once")")).ok());
  CHECK(e.told("ProvisioningFailed") ==
        "failed to provision volume with StorageClass \"at-once\": configuration error, no node "
        "was specified");
}

TEST_CASE("what users decide about classes outlives a restart") {
  Disks c;
  auto is_default = [&] {
    json::Value local = c.get(kStorageClasses, {"", "local-path"});
    return local["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"].text();
  };
  CHECK(is_default() == "true");
  REQUIRE(c.patch(kStorageClasses, {"", "local-path"},
                  R"({"metadata":{"annotations":
                      {"storageclass.kubernetes.io/is-default-class":"false"}}})")
              .ok());
  c.restart();
  c.clock.run_for(1000);
  CHECK(is_default() == "false");
  // Deleted, with another default: it comes back beside that.
  REQUIRE(c.remove(kStorageClasses, {"", "local-path"}).ok());
  REQUIRE(c.create(kStorageClasses, "", parse(R"({"metadata": {"name": "mine", "annotations":
      {"storageclass.kubernetes.io/is-default-class": "true"}}, "provisioner": "x/y"})"))
              .ok());
  c.restart();
  REQUIRE(c.eventually([&] { return !c.get(kStorageClasses, {"", "local-path"}).is_null(); }));
  CHECK(is_default() == "false");
}

TEST_CASE("the replicas of a set keep their directories, whatever fails") {
  Disks c(11);
  c.set_faults({50, 20});
  json::Value set = parse(R"({"metadata": {"name": "db"}, "spec": {"serviceName": "db",
      "replicas": 3, "podManagementPolicy": "Parallel",
      "selector": {"matchLabels": {"app": "db"}},
      "template": {"metadata": {"labels": {"app": "db"}},
                   "spec": {"containers": [{"name": "c", "image": "i"}]}},
      "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]}})");
  while (!c.create(kStatefulSets, "default", set).ok()) {
  }
  std::vector<std::string> names = {"db-0", "db-1", "db-2"};
  auto running = [&] {
    for (const std::string& name : names) {
      json::Value pod = c.get(kPods, {"default", name});
      if (pod["status"]["phase"].as_string() != "Running" ||
          pod["metadata"].has("deletionTimestamp")) {
        return false;
      }
    }
    return true;
  };
  REQUIRE(c.eventually(running, 600000));
  std::vector<std::pair<std::string, std::string>> before;
  for (const std::string& name : names) {
    before.emplace_back(c.get(kPods, {"default", name})["spec"]["nodeName"].text(),
                        c.volume_of("data-" + name)["metadata"]["uid"].text());
  }
  c.restart();
  for (const std::string& name : names) {
    while (!c.remove(kPods, {"default", name}).ok()) {
    }
  }
  c.clock.run_for(1000);
  REQUIRE(c.eventually(running, 600000));
  for (size_t i = 0; i < names.size(); i++) {
    CHECK(c.get(kPods, {"default", names[i]})["spec"]["nodeName"].text() == before[i].first);
    CHECK(c.volume_of("data-" + names[i])["metadata"]["uid"].text() == before[i].second);
  }
}
