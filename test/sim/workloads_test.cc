// The ordinary work of each controller, end to end in virtual time.
#include <catch2/catch.hpp>

#include "api/view/meta.h"
#include "cluster.h"

using namespace knarr;          // NOLINT
using namespace knarr::server;  // NOLINT
using knarr::sim::Cluster;

namespace {

json::Value parse(const char* text) {
  auto value = json::parse(text);
  REQUIRE(value.ok());
  return std::move(value).value();
}

json::Value deployment(int replicas, const char* image = "image:1") {
  json::Value d = parse(R"({"metadata": {"name": "web"}, "spec": {
    "selector": {"matchLabels": {"app": "web"}},
    "template": {"metadata": {"labels": {"app": "web"}},
                 "spec": {"containers": [{"name": "c", "image": "i"}]}}}})");
  d.member("spec").set("replicas", replicas);
  d.member("spec").member("template").member("spec").member("containers").at(0).set("image", image);
  return d;
}

struct Started : Cluster {
  Started() : Cluster(1) {
    start();
    add_node("n1");
    REQUIRE(eventually([&] { return !get(kServiceAccounts, {"default", "default"}).is_null(); }));
  }
};

int64_t status(const json::Value& object, const char* field) {
  return object["status"][field].as_int();
}

}  // namespace

TEST_CASE("a deployment comes up, scales, rolls and goes") {
  Started c;
  REQUIRE(c.create(kDeployments, "default", deployment(3)).ok());
  auto available = [&](int64_t n) {
    return c.eventually([&] {
      json::Value d = c.get(kDeployments, {"default", "web"});
      return status(d, "availableReplicas") == n && status(d, "updatedReplicas") == n &&
             status(d, "replicas") == n &&
             d["status"]["observedGeneration"] == d["metadata"]["generation"];
    });
  };
  REQUIRE(available(3));
  json::Value d = c.get(kDeployments, {"default", "web"});
  CHECK(d["metadata"]["annotations"]["deployment.kubernetes.io/revision"].as_string() == "1");
  CHECK(d["status"]["conditions"].size() == 2);

  REQUIRE(c.patch(kDeployments, {"default", "web"}, R"({"spec":{"replicas":1}})").ok());
  REQUIRE(available(1));
  REQUIRE(c.patch(kDeployments, {"default", "web"},
                  R"({"spec":{"replicas":4,"template":{"metadata":{"annotations":{"a":"b"}}}}})")
              .ok());
  REQUIRE(available(4));
  CHECK(c.list(kReplicaSets, "default").size() == 2);
  CHECK(c.eventually([&] { return c.list(kPods, "default").size() == 4; }));
  d = c.get(kDeployments, {"default", "web"});
  CHECK(d["metadata"]["annotations"]["deployment.kubernetes.io/revision"].as_string() == "2");

  REQUIRE(c.remove(kDeployments, {"default", "web"}).ok());
  CHECK(c.eventually(
      [&] { return c.list(kPods, "default").empty() && c.list(kReplicaSets, "default").empty(); }));
  CHECK(c.eventually([&] { return c.controllers().idle(); }));
}

TEST_CASE("a stateful set is made in order and shrinks in order") {
  Started c;
  REQUIRE(c.create(kStatefulSets, "default", parse(R"({"metadata": {"name": "db"}, "spec": {
    "replicas": 3, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}},
    "template": {"metadata": {"labels": {"app": "db"}},
                 "spec": {"containers": [{"name": "c", "image": "i"}]}}}})"))
              .ok());
  REQUIRE(c.eventually([&] {
    return status(c.get(kStatefulSets, {"default", "db"}), "readyReplicas") == 3;
  }));
  CHECK(!c.get(kPods, {"default", "db-2"}).is_null());
  CHECK(c.list(kControllerRevisions, "default").size() == 1);
  REQUIRE(c.patch(kStatefulSets, {"default", "db"},
                  R"({"spec":{"template":{"metadata":{"annotations":{"a":"b"}}}}})")
              .ok());
  REQUIRE(c.eventually([&] {
    json::Value s = c.get(kStatefulSets, {"default", "db"});
    return s["status"]["observedGeneration"].as_int() == 2 && status(s, "updatedReplicas") == 3 &&
           status(s, "readyReplicas") == 3 &&
           s["status"]["currentRevision"] == s["status"]["updateRevision"];
  }));
  REQUIRE(c.patch(kStatefulSets, {"default", "db"}, R"({"spec":{"replicas":1}})").ok());
  CHECK(c.eventually([&] { return c.list(kPods, "default").size() == 1; }));
}

TEST_CASE("a daemon set follows nodes") {
  Started c;
  c.add_node("n2");
  REQUIRE(c.create(kDaemonSets, "default", parse(R"({"metadata": {"name": "d"}, "spec": {
    "selector": {"matchLabels": {"app": "d"}},
    "template": {"metadata": {"labels": {"app": "d"}},
                 "spec": {"containers": [{"name": "c", "image": "i"}]}}}})"))
              .ok());
  auto ready = [&](int64_t n) {
    return c.eventually([&] {
      json::Value d = c.get(kDaemonSets, {"default", "d"});
      return status(d, "numberReady") == n && status(d, "updatedNumberScheduled") == n;
    });
  };
  REQUIRE(ready(2));
  c.add_node("n3");
  REQUIRE(ready(3));
  REQUIRE(c.patch(kDaemonSets, {"default", "d"},
                  R"({"spec":{"template":{"metadata":{"annotations":{"a":"b"}}}}})")
              .ok());
  REQUIRE(c.eventually([&] {
    json::Value d = c.get(kDaemonSets, {"default", "d"});
    return d["status"]["observedGeneration"].as_int() == 2 && status(d, "numberReady") == 3 &&
           status(d, "updatedNumberScheduled") == 3;
  }));
}

TEST_CASE("jobs complete, and fail") {
  Started c;
  const char* job = R"({"metadata": {"name": "j"}, "spec": {"completions": 5, "parallelism": 2,
    "backoffLimit": 0, "template": {"metadata": {"annotations": {"sim/exit": "0"}},
      "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}})";
  REQUIRE(c.create(kJobs, "default", parse(job)).ok());
  json::Value bad = parse(job);
  bad.member("metadata").set("name", "bad");
  bad.member("spec")
      .member("template")
      .member("metadata")
      .member("annotations")
      .set("sim/exit", "1");
  REQUIRE(c.create(kJobs, "default", bad).ok());
  REQUIRE(c.eventually([&] {
    return api::condition_is(c.get(kJobs, {"default", "j"})["status"]["conditions"], "Complete",
                             "True");
  }));
  CHECK(status(c.get(kJobs, {"default", "j"}), "succeeded") == 5);
  REQUIRE(c.eventually([&] {
    return api::condition_is(c.get(kJobs, {"default", "bad"})["status"]["conditions"], "Failed",
                             "True");
  }));
  json::Value failed = c.get(kJobs, {"default", "bad"});
  CHECK(api::condition(failed["status"]["conditions"], "Failed")["reason"].as_string() ==
        "BackoffLimitExceeded");
  REQUIRE(c.remove(kJobs, {"default", "j"}).ok());
  REQUIRE(c.remove(kJobs, {"default", "bad"}).ok());
  CHECK(c.eventually([&] { return c.list(kPods, "default").empty(); }));
}

TEST_CASE("a service's endpoints follow its pods") {
  Started c;
  REQUIRE(c.create(kServices, "default", parse(R"({"metadata": {"name": "web"}, "spec": {
    "selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}})"))
              .ok());
  REQUIRE(c.create(kDeployments, "default", deployment(2)).ok());
  auto ready = [&](size_t n) {
    size_t found = 0;
    for (const json::Value& s : c.list(kEndpointSlices, "default")) {
      if (s["metadata"]["labels"]["kubernetes.io/service-name"].as_string() != "web") continue;
      for (const json::Value& e : s["endpoints"].elements()) {
        found += e["conditions"]["ready"].as_bool();
      }
    }
    json::Value old = c.get(kEndpoints, {"default", "web"});
    return found == n && old["subsets"][0]["addresses"].size() == n;
  };
  REQUIRE(c.eventually([&] { return ready(2); }));
  REQUIRE(c.patch(kDeployments, {"default", "web"}, R"({"spec":{"replicas":0}})").ok());
  CHECK(c.eventually([&] { return ready(0); }));
}

TEST_CASE("a namespace is emptied and goes") {
  Started c;
  REQUIRE(c.create(kNamespaces, "", parse(R"({"metadata": {"name": "sub"}})")).ok());
  REQUIRE(c.eventually([&] { return !c.get(kServiceAccounts, {"sub", "default"}).is_null(); }));
  CHECK(c.eventually([&] { return !c.get(kConfigMaps, {"sub", "kube-root-ca.crt"}).is_null(); }));
  REQUIRE(c.create(kDeployments, "sub", deployment(2)).ok());
  REQUIRE(c.eventually([&] { return c.list(kPods, "sub").size() == 2; }));
  REQUIRE(c.remove(kNamespaces, {"", "sub"}).ok());
  CHECK(c.eventually([&] { return c.get(kNamespaces, {"", "sub"}).is_null(); }, 120000));
  CHECK(c.list(kPods, "sub").empty());
}

TEST_CASE("pods that a job takes back have not failed, and orphans are let go") {
  Started c;
  REQUIRE(c.create(kJobs, "default", parse(R"({"metadata": {"name": "j"}, "spec": {
    "parallelism": 2, "completions": 2, "template": {"metadata": {"labels": {"app": "j"}},
    "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}})"))
              .ok());
  NamespacedName name{"default", "j"};
  REQUIRE(c.eventually([&] { return status(c.get(kJobs, name), "ready") == 2; }));
  CHECK(c.get(kJobs, name)["metadata"]["labels"].size() == 5);
  REQUIRE(c.patch(kJobs, name, R"({"spec":{"suspend":true}})").ok());
  REQUIRE(c.eventually([&] { return c.list(kPods, "default").empty(); }));
  CHECK(c.eventually([&] { return status(c.get(kJobs, name), "terminating") == 0; }));
  CHECK(c.get(kJobs, name)["status"]["failed"].is_null());
  REQUIRE(c.patch(kJobs, name, R"({"spec":{"suspend":false}})").ok());
  REQUIRE(c.eventually([&] { return status(c.get(kJobs, name), "ready") == 2; }));
  REQUIRE(c.remove(kJobs, name, "Orphan").ok());
  CHECK(c.eventually([&] {
    for (const json::Value& pod : c.list(kPods, "default")) {
      if (pod["metadata"].has("finalizers")) return false;
    }
    return c.get(kJobs, name).is_null();
  }));
  CHECK(c.list(kPods, "default").size() == 2);
}

TEST_CASE("a budget keeps ready pods, and not those that are not when it says so") {
  Started c;
  REQUIRE(c.create(kPods, "default", parse(R"({"metadata": {"name": "p", "labels": {"a": "b"}},
    "spec": {"containers": [{"name": "c", "image": "i"}]}})"))
              .ok());
  REQUIRE(c.create(kBudgets, "default", parse(R"({"metadata": {"name": "b"}, "spec": {
    "minAvailable": 1, "selector": {"matchLabels": {"a": "b"}},
    "unhealthyPodEvictionPolicy": "AlwaysAllow"}})"))
              .ok());
  REQUIRE(c.eventually([&] {
    return status(c.get(kBudgets, {"default", "b"}), "currentHealthy") == 1;
  }));
  auto evict = [&] {
    return c.call({client::Verb::kCreate,
                   target_of(kPods, {"default", "p"}, "eviction"),
                   R"({"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"p"}})",
                   {},
                   {}});
  };
  CHECK_FALSE(evict().ok());
  REQUIRE(c.call(patch_request(kPods, {"default", "p"}, parse(R"({"status": {"conditions": [
      {"type": "Ready", "status": "False"}]}})"),
                               client::PatchType::kStrategicMerge, "status"))
              .ok());
  CHECK(evict().ok());
}
