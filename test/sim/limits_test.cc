// Quotas, ranges, autoscaling, certificates, tokens: what namespaces and identities are held to.
#include <catch2/catch.hpp>

#include "api/view/meta.h"
#include "base/base64.h"
#include "cluster.h"
#include "net/pki.h"
#include "server/auth/signing_request.h"

using namespace knarr;          // NOLINT
using namespace knarr::server;  // NOLINT
using knarr::sim::Cluster;

namespace {

constexpr ResourceName kLimitRanges{"", "v1", "limitranges", "LimitRange"};

json::Value parse(const std::string& text) {
  auto value = json::parse(text);
  REQUIRE(value.ok());
  return std::move(value).value();
}

json::Value pod(const std::string& name, const std::string& resources) {
  return parse(R"({"metadata": {"name": ")" + name + R"("}, "spec": {"containers": [
    {"name": "c", "image": "i", "resources": )" +
               resources + "}]}}");
}

struct Held : Cluster {
  Held() : Cluster(5) {
    start();
    add_node("n1");
    REQUIRE(eventually([&] { return !get(kServiceAccounts, {"default", "default"}).is_null(); }));
  }
  void quota(const std::string& hard, const std::string& more = "") {
    REQUIRE(create(kResourceQuotas, "default",
                   parse(R"({"metadata": {"name": "q"}, "spec": {"hard": )" + hard + more + "}}"))
                .ok());
    REQUIRE(eventually([&] {
      return get(kResourceQuotas, {"default", "q"})["status"].has("used");
    }));
  }
  std::string used(const char* name) {
    return get(kResourceQuotas, {"default", "q"})["status"]["used"][name].text();
  }
  // Empty: it was made.
  std::string refusal(const ResourceName& r, json::Value object) {
    auto made = create(r, "default", std::move(object));
    return made.ok() ? "" : made.error().message;
  }
};

}  // namespace

TEST_CASE("a quota refuses what exceeds it, and gets back what goes") {
  Held c;
  c.quota(R"({"pods": "2", "requests.cpu": "1", "count/deployments.apps": "0"})");
  CHECK(c.used("pods") == "0");
  CHECK(c.refusal(kPods, pod("silent", "{}")) ==
        "pods \"silent\" is forbidden: failed quota: q: must specify requests.cpu for: c");
  CHECK(c.refusal(kPods, pod("a", R"({"requests": {"cpu": "600m"}})")) == "");
  CHECK(c.used("requests.cpu") == "600m");  // as soon as the pod is made
  CHECK(c.refusal(kPods, pod("b", R"({"requests": {"cpu": "600m"}})")) ==
        "pods \"b\" is forbidden: exceeded quota: q, requested: requests.cpu=600m, used: "
        "requests.cpu=600m, limited: requests.cpu=1");
  CHECK(c.refusal(kPods, pod("b", R"({"requests": {"cpu": "400m"}})")) == "");
  CHECK(c.used("requests.cpu") == "1");
  json::Value d = parse(R"({"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels":
    {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [
    {"name": "c", "image": "i"}]}}}})");
  CHECK(c.refusal(kDeployments, d) ==
        "deployments.apps \"d\" is forbidden: exceeded quota: q, requested: "
        "count/deployments.apps=1, used: count/deployments.apps=0, limited: "
        "count/deployments.apps=0");
  REQUIRE(c.remove(kPods, {"default", "a"}).ok());
  CHECK(c.eventually([&] { return c.used("requests.cpu") == "400m" && c.used("pods") == "1"; }));
  REQUIRE(c.patch(kResourceQuotas, {"default", "q"}, R"({"spec":{"hard":{"pods":"5"}}})").ok());
  CHECK(c.eventually([&] {
    return c.get(kResourceQuotas, {"default", "q"})["status"]["hard"]["pods"].as_string() == "5";
  }));
}

TEST_CASE("of many at once only as many pass as the quota has room for") {
  Held c;
  c.quota(R"({"pods": "3"})");
  int made = 0, refused = 0;
  for (int i = 0; i < 10; ++i) {
    json::Value p = pod("p" + std::to_string(i), "{}");
    c.client().call(create_request(kPods, "default", std::move(p)),
                    [&](Result<ObjectRef> answer) { ++(answer.ok() ? made : refused); });
  }
  REQUIRE(c.eventually([&] { return made + refused == 10; }));
  CHECK(made == 3);
  CHECK(c.eventually([&] { return c.used("pods") == "3"; }));
}

TEST_CASE("what was charged for nothing is given back") {
  Held c;
  c.quota(R"({"configmaps": "5"})");
  REQUIRE(c.eventually([&] { return c.used("configmaps") == "1"; }));  // kube-root-ca.crt
  json::Value map = parse(R"({"metadata": {"name": "m"}})");
  CHECK(c.refusal(kConfigMaps, map) == "");
  CHECK(c.used("configmaps") == "2");
  CHECK(c.refusal(kConfigMaps, map) == "configmaps \"m\" already exists");
  REQUIRE(c.remove(kConfigMaps, {"default", "m"}).ok());
  CHECK(c.eventually([&] { return c.used("configmaps") == "1"; }));
}

TEST_CASE("ranges fill in what is missing and refuse what lies outside") {
  Held c;
  REQUIRE(
      c.create(kLimitRanges, "default", parse(R"({"metadata": {"name": "l"}, "spec": {"limits": [
    {"type": "Container", "default": {"cpu": "200m", "memory": "64Mi"}, "defaultRequest":
     {"cpu": "100m"}, "min": {"cpu": "50m"}, "max": {"cpu": "1", "memory": "1Gi"},
     "maxLimitRequestRatio": {"cpu": "4"}},
    {"type": "Pod", "max": {"cpu": "1500m"}, "min": {"memory": "10Mi"}},
    {"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}}]}})"))
          .ok());
  CHECK(c.refusal(kPods, pod("p", "{}")) == "");
  json::Value p = c.get(kPods, {"default", "p"});
  CHECK(p["metadata"]["annotations"]["kubernetes.io/limit-ranger"].as_string() ==
        "LimitRanger plugin set: cpu, memory request for container c; cpu, memory limit for "
        "container c");
  CHECK(p["spec"]["containers"][0]["resources"]["requests"]["cpu"].as_string() == "100m");
  struct Case {
    const char* resources;
    const char* why;
  };
  for (const Case& k : {
           Case{R"({"limits": {"cpu": "2"}})",
                "[maximum cpu usage per Container is 1, but limit is 2, maximum cpu usage per Pod "
                "is 1500m, but limit is 2]"},
           Case{R"({"limits": {"cpu": "10m"}})",
                "minimum cpu usage per Container is 50m, but request is 10m"},
           Case{R"({"limits": {"cpu": "1"}, "requests": {"cpu": "100m"}})",
                "cpu max limit to request ratio per Container is 4, but provided ratio is "
                "10.000000"},
           Case{R"({"limits": {"memory": "5Mi"}, "requests": {"memory": "1Mi"}})",
                "minimum memory usage per Pod is 10Mi, but request is 1Mi"},
       }) {
    CHECK(c.refusal(kPods, pod("x", k.resources)) ==
          std::string("pods \"x\" is forbidden: ") + k.why);
  }
  CHECK(c.refusal(kClaims, parse(R"({"metadata": {"name": "c"}, "spec": {"accessModes":
    ["ReadWriteOnce"], "resources": {"requests": {"storage": "500Mi"}}}})")) ==
        "persistentvolumeclaims \"c\" is forbidden: minimum storage usage per "
        "PersistentVolumeClaim is 1Gi, but request is 500Mi");
}

namespace {

// Every running pod of the namespace uses this much CPU.
struct FakeMetrics final : MetricsSource {
  Cluster* cluster = nullptr;
  int64_t milli = 0;
  void pod_metrics(const std::string& ns, const api::LabelSelector& selector, Done done) override {
    std::vector<PodSample> samples;
    cluster->cache().for_each(kPods.key(), ns, [&](const ObjectRef& pod) {
      if (!selector.matches(*pod)) return true;
      PodSample s{pod->name.name, cluster->clock.now_us(), 30000000, {}};
      s.containers["c"]["cpu"] = api::Quantity::milli(milli);
      samples.push_back(std::move(s));
      return true;
    });
    done(std::move(samples));
  }
};

}  // namespace

TEST_CASE("an autoscaler follows what pods use") {
  FakeMetrics metrics;
  Cluster c(9);
  metrics.cluster = &c;
  c.set_metrics(&metrics);
  c.start();
  c.add_node("n1");
  REQUIRE(c.eventually([&] { return !c.get(kServiceAccounts, {"default", "default"}).is_null(); }));
  REQUIRE(c.create(kDeployments, "default", parse(R"({"metadata": {"name": "d"}, "spec": {
    "replicas": 2, "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels":
    {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests":
    {"cpu": "100m"}}}]}}}})"))
              .ok());
  metrics.milli = 50;
  REQUIRE(c.create(kAutoscalers, "default", parse(R"({"metadata": {"name": "h"}, "spec": {
    "minReplicas": 1, "maxReplicas": 8, "scaleTargetRef": {"apiVersion": "apps/v1",
    "kind": "Deployment", "name": "d"}, "metrics": [{"type": "Resource", "resource": {
    "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]}})"))
              .ok());
  auto replicas = [&](int64_t n, int64_t limit_ms) {
    return c.eventually(
        [&] {
          return c.get(kDeployments, {"default", "d"})["spec"]["replicas"].as_int() == n;
        },
        limit_ms);
  };
  c.clock.run_for(10 * 60000);  // past the pods' first minutes
  CHECK(replicas(2, 1));
  json::Value h = c.get(kAutoscalers, {"default", "h"});
  CHECK(api::condition_is(h["status"]["conditions"], "ScalingActive", "True"));
  CHECK(h["status"]["currentMetrics"][0]["resource"]["current"]["averageUtilization"].as_int() ==
        50);
  metrics.milli = 100;
  CHECK(replicas(4, 60000));
  metrics.milli = 25;
  // Not at once: five minutes of what was recommended before count.
  c.clock.run_for(60000);
  int64_t held = c.get(kDeployments, {"default", "d"})["spec"]["replicas"].as_int();
  CHECK(held >= 4);
  CHECK(replicas((held + 1) / 2, 10 * 60000));
}

TEST_CASE("an autoscaler without metrics says so, and keeps within its bounds") {
  Held c;
  REQUIRE(c.create(kDeployments, "default", parse(R"({"metadata": {"name": "d"}, "spec": {
    "replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels":
    {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}})"))
              .ok());
  REQUIRE(c.create(kAutoscalers, "default", parse(R"({"metadata": {"name": "h"}, "spec": {
    "minReplicas": 2, "maxReplicas": 8, "scaleTargetRef": {"apiVersion": "apps/v1",
    "kind": "Deployment", "name": "d"}, "metrics": [{"type": "Resource", "resource": {
    "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]}})"))
              .ok());
  CHECK(c.eventually([&] {
    return c.get(kDeployments, {"default", "d"})["spec"]["replicas"].as_int() == 2;
  }));
  CHECK(c.eventually([&] {
    json::Value h = c.get(kAutoscalers, {"default", "h"});
    return api::condition(h["status"]["conditions"], "ScalingActive")["message"].as_string() ==
           "the HPA was unable to compute the replica count: failed to get cpu utilization: unable "
           "to get metrics for resource cpu: unable to fetch metrics from resource metrics API: "
           "the server could not find the requested resource (get pods.metrics.k8s.io)";
  }));
}

namespace {

// openssl req -new -newkey ec, O=system:nodes, CN=system:node:n1.
constexpr const char* kNodeRequest =
    "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIc01JR1NBZ0VBTURBeEZUQVRCZ05WQkFvTURITjVj"
    "M1JsYlRwdWIyUmxjekVYTUJVR0ExVUVBd3dPYzNsegpkR1Z0T201dlpHVTZiakV3V1RBVEJnY3Foa2pPUFFJQkJnZ3Fo"
    "a2pPUFFNQkJ3TkNBQVFOdWQ0VmVUd1A0RlMzCmxTYlh6Y3k1ZVdjM0JEUXZURHFXRmtXNXN5d1lXTHpjUTdCL0NzQlp5"
    "YkZSY0dGRWtER1oyTlQ5NFAyYkdSZVMKUFJYS1AwTUtvQUF3Q2dZSUtvWkl6ajBFQXdJRFNRQXdSZ0loQUlYemNSNDJH"
    "WWJRNTcxZ3Avb3NBeEQ1bDNoVQpLWDAyNk13S0g0L2RzS0dwQWlFQTNuTXgyR0YvZExSaUFNb1RsNDR3aXZjem56Y1Bv"
    "SVg3NW9BNUxYaW0xdnM9Ci0tLS0tRU5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLQo=";

json::Value signing_request(const std::string& name, const std::string& signer,
                            const std::string& usages) {
  return parse(R"({"metadata": {"name": ")" + name + R"("}, "spec": {"request": ")" + kNodeRequest +
               R"(", "signerName": ")" + signer + R"(", "usages": )" + usages + "}}");
}

}  // namespace

TEST_CASE("a node's client certificate is approved and signed, and its request goes in time") {
  Held c;
  REQUIRE(c.create(kSigningRequests, "",
                   signing_request("node", "kubernetes.io/kube-apiserver-client-kubelet",
                                   R"(["digital signature", "client auth"])"))
              .ok());
  REQUIRE(c.eventually([&] {
    return !c.get(kSigningRequests, {"", "node"})["status"]["certificate"].as_string().empty();
  }));
  json::Value r = c.get(kSigningRequests, {"", "node"});
  CHECK(api::condition(r["status"]["conditions"], "Approved")["reason"].as_string() ==
        "AutoApproved");
  auto pem = base::base64_decode(r["status"]["certificate"].as_string());
  REQUIRE(pem.ok());
  CHECK(net::signed_by(*pem, c.ca().certificate));
  auto info = net::read_certificate(*pem);
  REQUIRE(info.ok());
  CHECK(info->common_name == "system:node:n1");
  CHECK(info->organizations == std::vector<std::string>{"system:nodes"});
  CHECK(c.eventually(
      [&] {
        return c.get(kSigningRequests, {"", "node"}).is_null();
      },
      2 * 3600 * 1000));
}

TEST_CASE("who joins under the name of a node that is there must have that node's key") {
  Held c;
  auto pem = base::base64_decode(kNodeRequest);
  std::string own_key = server::read_signing_request(*pem)->key_fingerprint;
  auto set_key = [&](const std::string& key) {
    // Others write to the node as well.
    REQUIRE(c.eventually([&] {
      json::Value node = c.get(kNodes, {"", "n1"});
      node.member("metadata").member("annotations").set("knarr.io/node-key", key);
      return c.call(update_request(kNodes, node)).ok();
    }));
  };
  auto ask = [&](const char* name) {
    REQUIRE(c.create(kSigningRequests, "",
                     signing_request(name, "kubernetes.io/kube-apiserver-client-kubelet",
                                     R"(["digital signature", "client auth"])"))
                .ok());
  };
  set_key("another");
  ask("stranger");
  REQUIRE(c.eventually([&] {
    json::Value r = c.get(kSigningRequests, {"", "stranger"});
    return api::condition(r["status"]["conditions"], "Denied")["reason"].as_string() ==
           "NodeNameTaken";
  }));
  CHECK(c.get(kSigningRequests, {"", "stranger"})["status"]["certificate"].is_null());
  set_key(own_key);
  ask("itself");
  CHECK(c.eventually([&] {
    return !c.get(kSigningRequests, {"", "itself"})["status"]["certificate"].as_string().empty();
  }));
}

TEST_CASE("of two machines that join under one name at once, one is let in") {
  Held c;
  auto ask = [&](const std::string& name) {
    net::CertificateRequest wanted;
    wanted.common_name = "system:node:twin";
    wanted.organizations = {"system:nodes"};
    json::Value request = signing_request(name, "kubernetes.io/kube-apiserver-client-kubelet",
                                          R"(["digital signature", "client auth"])");
    auto pem = net::make_signing_request(*net::generate_ec_key(), wanted);
    request.member("spec").set("request", base::base64_encode(*pem));
    request.set("apiVersion", "certificates.k8s.io/v1").set("kind", "CertificateSigningRequest");
    c.client().call({client::Verb::kCreate,
                     {"certificates.k8s.io", "v1", "certificatesigningrequests", "", "", ""},
                     json::write(request),
                     {},
                     {}},
                    [](const Result<ObjectRef>& made) { CHECK(made.ok()); });
  };
  auto outcome = [&](const char* name) {
    json::Value r = c.get(kSigningRequests, {"", name});
    return r["status"]["conditions"][0]["type"].text();
  };
  auto answered = [&](const char* name) { return !outcome(name).empty(); };
  ask("first");
  ask("second");
  REQUIRE(c.eventually([&] { return answered("first") && answered("second"); }));
  CHECK(outcome("first") + outcome("second") == "ApprovedDenied");
  const json::Value denied = c.get(kSigningRequests, {"", "second"});
  CHECK(denied["status"]["conditions"][0]["message"].text().find("kubectl delete node twin") !=
        std::string::npos);
  SECTION("the name is free once the node was removed") {
    c.add_node("twin");
    c.silence("twin");
    REQUIRE(c.remove(kNodes, {"", "twin"}).ok());
    ask("third");
    REQUIRE(c.eventually([&] { return answered("third"); }));
    CHECK(outcome("third") == "Approved");
  }
  SECTION("the name is free when no node came of it") {
    c.clock.run_for(61000);
    ask("third");
    REQUIRE(c.eventually([&] { return answered("third"); }));
    CHECK(outcome("third") == "Approved");
  }
}

TEST_CASE("a signer says what it objects to, and leaves others' requests alone") {
  Held c;
  auto approve = [&](const char* name) {
    json::Value r = c.get(kSigningRequests, {"", name});
    r.member("status")
        .member("conditions")
        .push_back(json::Value::object(
            {{"type", "Approved"}, {"status", "True"}, {"reason", "ByHand"}, {"message", ""}}));
    REQUIRE(c.call(update_request(kSigningRequests, r, "approval")).ok());
  };
  REQUIRE(c.create(kSigningRequests, "",
                   signing_request("serving", "kubernetes.io/kubelet-serving",
                                   R"(["digital signature", "server auth"])"))
              .ok());
  REQUIRE(c.create(kSigningRequests, "",
                   signing_request("other", "example.com/sign", R"(["client auth"])"))
              .ok());
  approve("serving");
  approve("other");
  CHECK(c.eventually([&] {
    json::Value r = c.get(kSigningRequests, {"", "serving"});
    return api::condition(r["status"]["conditions"], "Failed")["message"].as_string() ==
           "DNS or IP subjectAltName is required";
  }));
  CHECK(c.get(kSigningRequests, {"", "other"})["status"]["certificate"].is_null());
}

TEST_CASE("an aggregated role holds the rules of those it selects") {
  Held c;
  REQUIRE(c.create(kClusterRoles, "", parse(R"({"metadata": {"name": "sum"}, "aggregationRule": {
    "clusterRoleSelectors": [{"matchLabels": {"add": "yes"}}]}, "rules": []})"))
              .ok());
  for (const char* name : {"a", "b"}) {
    REQUIRE(c.create(kClusterRoles, "",
                     parse(std::string(R"({"metadata": {"name": ")") + name +
                           R"(", "labels": {"add": "yes"}}, "rules": [
      {"apiGroups": [""], "resources": [")" +
                           name + R"("], "verbs": ["get"]}]})"))
                .ok());
  }
  CHECK(c.eventually([&] {
    json::Value sum = c.get(kClusterRoles, {"", "sum"});
    return sum["rules"].size() == 2 && sum["rules"][0]["resources"][0].as_string() == "a";
  }));
  REQUIRE(c.remove(kClusterRoles, {"", "a"}).ok());
  CHECK(c.eventually([&] { return c.get(kClusterRoles, {"", "sum"})["rules"].size() == 1; }));
}
