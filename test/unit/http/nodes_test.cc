// What a node's credentials do not reach: other nodes, the pods of other nodes, and of its own what
// would bring pods to it.

#include "knarr/names.h"
#include "server/admission/plugins.h"
#include "unit/http/api_cluster.h"

using namespace knarr;
using namespace knarr::server;

TEST_CASE("a node changes itself and the pods bound to it") {
  Cluster c(AuthorizationMode::kNode);
  const std::string nodes = "/api/v1/nodes";
  const std::string pods = "/api/v1/namespaces/default/pods";
  auto pod = [](const std::string& name, const std::string& node, const char* annotations,
                const std::string& owner = "", const char* more = "") {
    return R"({"metadata":{"name":")" + name + R"(","annotations":)" + annotations +
           R"(,"ownerReferences":[)" + owner + R"(]},"spec":{"nodeName":")" + node +
           R"(","containers":[{"name":"c","image":"i"}])" + more + "}}";
  };
  const char* kMirror = R"({"kubernetes.io/config.mirror":"x"})";
  for (const char* node : {"a", "b"}) {
    c.call("POST", nodes, std::string(R"({"metadata":{"name":")") + node + R"("}})");
    REQUIRE(c.status == 201);
    c.call("POST", pods, pod(std::string("of-") + node, node, "{}"));
    REQUIRE(c.status == 201);
  }
  auto owner = [](const std::string& name, const std::string& uid, const char* more) {
    return R"({"apiVersion":"v1","kind":"Node","name":")" + name + R"(","uid":")" + uid + R"(")" +
           more + "}";
  };
  const std::string uid = c.call("GET", nodes + "/a")["metadata"]["uid"].text();
  const std::string own = owner("a", uid, R"(,"controller":true)");
  const std::string status = R"({"status":{"message":"m"}})";
  const std::string labels = R"({"metadata":{"annotations":{"k":"v"}}})";
  struct Row {
    const char* method;
    std::string path;
    std::string body;
    int status;
    const char* why;
  };
  const Row rows[] = {
      {"PATCH", nodes + "/a", labels, 200, ""},
      {"PATCH", nodes + "/b", labels, 403, "node \"a\" is not allowed to modify node \"b\""},
      {"PATCH", nodes + "/a/status", labels, 200, ""},
      {"PATCH", nodes + "/b/status", labels, 403, "node \"a\" is not allowed to modify node \"b\""},
      {"PUT", nodes + "/b", "{}", 403, "node \"a\" is not allowed to modify node \"b\""},
      {"POST", nodes, R"({"metadata":{"name":"c"}})", 403,
       "node \"a\" is not allowed to modify node \"c\""},
      {"DELETE", nodes + "/a", "", 403, "cannot delete resource \"nodes\""},
      {"PATCH", pods + "/of-a/status", status, 200, ""},
      {"PATCH", pods + "/of-b/status", status, 403,
       "node \"a\" can only update pod status for pods with spec.nodeName set to itself"},
      {"POST", pods, pod("m", "a", "{}"), 403,
       "pod does not have \"kubernetes.io/config.mirror\" annotation, node \"a\" can only create "
       "mirror pods"},
      {"POST", pods, pod("m", "b", kMirror), 403,
       "node \"a\" can only create pods with spec.nodeName set to itself"},
      {"POST", pods, pod("m", "a", kMirror), 403,
       "node \"a\" can only create pods with an owner reference set to itself"},
      {"POST", pods, pod("m", "a", kMirror, own + "," + own), 403,
       "node \"a\" can only create pods with a single owner reference set to itself"},
      {"POST", pods, pod("m", "a", kMirror, owner("b", uid, "")), 403,
       "node \"a\" can only create pods with an owner reference set to itself"},
      {"POST", pods, pod("m", "a", kMirror, owner("a", uid, "")), 403,
       "node \"a\" can only create pods with a controller owner reference set to itself"},
      {"POST", pods,
       pod("m", "a", kMirror, owner("a", uid, R"(,"controller":true,"blockOwnerDeletion":true)")),
       403, "node \"a\" must not set blockOwnerDeletion on an owner reference"},
      {"POST", pods, pod("m", "a", kMirror, owner("a", "x", R"(,"controller":true)")), 403,
       "node a UID mismatch: expected x got "},
      {"POST", pods, pod("m", "a", kMirror, own, R"(,"serviceAccountName":"default")"), 403,
       "node \"a\" can not create pods that reference a service account"},
      {"POST", pods, pod("m", "a", kMirror, own, R"(,"imagePullSecrets":[{"name":"s"}])"), 403,
       "node \"a\" can not create pods that reference secrets"},
      {"POST", pods,
       pod("m", "a", kMirror, own, R"(,"volumes":[{"name":"v","configMap":{"name":"m"}}])"), 403,
       "node \"a\" can not create pods that reference configmaps"},
      {"POST", pods,
       pod("m", "a", kMirror, own,
           R"(,"volumes":[{"name":"v","persistentVolumeClaim":{"claimName":"m"}}])"),
       403, "node \"a\" can not create pods that reference persistentvolumeclaims"},
      {"POST", pods, pod("m", "a", kMirror, own), 201, ""},
      {"PATCH", pods + "/m/status", R"({"metadata":{"labels":{"app":"web"}}})", 403,
       "node \"a\" cannot update labels through pod status"},
      {"DELETE", pods + "/of-b", "", 403,
       "node \"a\" can only delete pods with spec.nodeName set to itself"},
      {"DELETE", pods + "/of-a", "", 200, ""},
      {"DELETE", pods + "/gone", "", 404, ""},
      {"PATCH", pods + "/gone/status", status, 404, ""},
  };
  for (const Row& row : rows) {
    INFO(row.method << " " << row.path << " " << row.body);
    net::Headers headers{{"X-User", "system:node:a"}};
    if (std::string_view(row.method) == "PATCH") {
      headers.add("Content-Type", "application/merge-patch+json");
    }
    json::Value answer = c.call(row.method, row.path, row.body, std::move(headers));
    INFO(json::write(answer));
    CHECK(c.status == row.status);
    if (row.status == 403) {
      CHECK(answer["message"].text().find(row.why) != std::string::npos);
    }
  }
}

TEST_CASE("a node does not steer pods to itself") {
  Cluster c(AuthorizationMode::kNode);
  const std::string nodes = "/api/v1/nodes";
  struct Row {
    const char* method;
    std::string path;
    const char* body;
    const char* why;  // empty: it may
  };
  const Row rows[] = {
      {"POST", nodes,
       R"({"metadata":{"name":"a","labels":{"node-role.kubernetes.io/x":"",
           "node-restriction.kubernetes.io/team":"a","mine":"x"}}})",
       "nodes \"a\" is forbidden: node \"a\" is not allowed to set the following labels: "
       "node-restriction.kubernetes.io/team, node-role.kubernetes.io/x"},
      {"POST", nodes, R"({"metadata":{"name":"a"},"spec":{"podCIDR":"10.42.9.0/24"}})",
       "nodes \"a\" is forbidden: node \"a\" is not allowed to set spec.podCIDR"},
      {"POST", nodes, R"({"metadata":{"name":"a"},"spec":{"podCIDRs":["10.42.9.0/24"]}})",
       "nodes \"a\" is forbidden: node \"a\" is not allowed to set spec.podCIDR"},
      {"POST", nodes,
       R"({"metadata":{"name":"a","labels":{"mine":"x","kubernetes.io/hostname":"a"}},
           "spec":{"taints":[{"key":"k","effect":"NoSchedule"}]}})",
       ""},
      {"PATCH", nodes + "/a", R"({"metadata":{"labels":{"mine":"y"}}})", ""},
      {"PATCH", nodes + "/a", R"({"spec":{"taints":null}})",
       "nodes \"a\" is forbidden: node \"a\" is not allowed to modify taints"},
      {"PATCH", nodes + "/a", R"({"metadata":{"labels":{"kubernetes.io/role":"x"}}})",
       "nodes \"a\" is forbidden: is not allowed to modify labels: kubernetes.io/role"},
      {"PATCH", nodes + "/a", R"({"spec":{"podCIDRs":["10.42.9.0/24"]}})",
       "nodes \"a\" is forbidden: node \"a\" is not allowed to set spec.podCIDR"},
      {"PATCH", nodes + "/a", R"({"spec":{"podCIDR":"10.42.9.0/24"}})",
       "nodes \"a\" is forbidden: node \"a\" is not allowed to set spec.podCIDR"},
      {"PATCH", nodes + "/a/status", R"({"metadata":{"labels":{"kubernetes.io/role":"x"}}})",
       "nodes \"a\" is forbidden: is not allowed to modify labels: kubernetes.io/role"},
      {"PATCH", nodes + "/a",
       R"({"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"b",
           "uid":"x"}]}})",
       "nodes \"a\" is forbidden: node \"a\" is not allowed to modify ownerReferences"},
      {"PATCH", nodes + "/a", R"({"metadata":{"annotations":{"knarr.io/node-key":"k1"}}})", ""},
      {"PATCH", nodes + "/a/status", R"({"metadata":{"annotations":{"knarr.io/node-key":"k2"}}})",
       "nodes \"a\" is forbidden: node \"a\" is known as another machine: join with another "
       "--node-name, or run `kubectl delete node a`"},
      {"POST", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases",
       R"({"metadata":{"name":"b"}})",
       "leases.coordination.k8s.io \"b\" is forbidden: can only access node lease with the same "
       "name as the requesting node"},
      {"POST", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases",
       R"({"metadata":{"name":"a"}})", ""},
      {"POST", "/apis/storage.k8s.io/v1/csinodes",
       R"({"metadata":{"name":"b"},"spec":{"drivers":[]}})",
       "csinodes.storage.k8s.io \"b\" is forbidden: can only access CSINode with the same name as "
       "the requesting node"},
  };
  for (const Row& row : rows) {
    INFO(row.method << " " << row.path << " " << row.body);
    net::Headers headers{{"X-User", "system:node:a"}};
    if (std::string_view(row.method) == "PATCH") {
      headers.add("Content-Type", "application/merge-patch+json");
    }
    json::Value answer = c.call(row.method, row.path, row.body, std::move(headers));
    INFO(json::write(answer));
    CHECK((c.status < 300) == (*row.why == '\0'));
    if (*row.why != '\0') CHECK(answer["message"].text() == row.why);
  }
}

TEST_CASE("a node asks for tokens for its own pods, of audiences that these name") {
  Cluster c;
  const std::string pods = "/api/v1/namespaces/default/pods";
  // Volumes of drivers that ask for tokens: "kept" by a claim, "own" as the pod's own.
  for (const std::string name : {"kept", "of-a-own", "of-b-own"}) {
    std::string driver = "csi." + name;
    c.call("POST", "/apis/storage.k8s.io/v1/csidrivers",
           R"({"metadata":{"name":")" + driver + R"("},"spec":{"tokenRequests":[{"audience":")" +
               name + R"("}]}})");
    REQUIRE(c.status == 201);
    c.call("POST", "/api/v1/persistentvolumes",
           R"({"metadata":{"name":"pv-)" + name + R"("},"spec":{"capacity":{"storage":"1Gi"},
               "accessModes":["ReadWriteOnce"],"csi":{"driver":")" +
               driver + R"(","volumeHandle":"h"}}})");
    REQUIRE(c.status == 201);
    c.call("POST", "/api/v1/namespaces/default/persistentvolumeclaims",
           R"({"metadata":{"name":")" + name + R"("},"spec":{"volumeName":"pv-)" + name +
               R"(","accessModes":["ReadWriteOnce"],"storageClassName":"",
               "resources":{"requests":{"storage":"1Gi"}}}})");
    REQUIRE(c.status == 201);
  }
  for (const char* node : {"a", "b"}) {
    c.call("POST", pods,
           std::string(R"({"metadata":{"name":"of-)") + node + R"("},"spec":{
        "nodeName":")" +
               node + R"(","containers":[{"name":"c","image":"i"}],
        "volumes":[{"name":"t","projected":{"sources":[{"serviceAccountToken":{"path":"t",
          "audience":"vault"}}]}},
          {"name":"p","persistentVolumeClaim":{"claimName":"kept"}},
          {"name":"own","ephemeral":{"volumeClaimTemplate":{"spec":{
            "accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}}}}]}})");
    REQUIRE(c.status == 201);
  }
  std::string own = c.call("GET", pods + "/of-a")["metadata"]["uid"].text();
  std::string other = c.call("GET", pods + "/of-b")["metadata"]["uid"].text();
  struct Row {
    const char *kind, *name;
    std::string uid;
    const char *audiences, *why;
  };
  const Row rows[] = {
      {"Pod", "of-a", own, R"(["vault"])", ""},
      {"Pod", "of-a", own, R"(["kept"])", ""},
      {"Pod", "of-a", own, R"(["of-a-own"])", ""},
      {"Pod", "of-a", own, R"(["of-b-own"])", "audience \"of-b-own\" not found in pod spec volume"},
      {"Pod", "of-a", own, "[]", ""},  // the token that is mounted in every pod
      {"Secret", "of-a", own, "[]", "node requested token not bound to a pod"},
      {"Pod", "", own, "[]", "node requested token not bound to a pod"},
      {"Pod", "of-a", "", "[]", "node requested token with a pod binding without a uid"},
      {"Pod", "of-a", other, "[]", "the UID in the bound object reference ("},
      {"Pod", "of-b", other, "[]",
       "node requested token bound to a pod scheduled on a different node"},
      {"Pod", "gone", own, "[]", "pods \"gone\" not found"},
      {"Pod", "of-a", own, R"(["vault","x"])", "node may only request 0 or 1 audiences"},
      {"Pod", "of-a", own, R"(["x"])",
       "audience \"x\" not found in pod spec volume, system:node:a is not authorized to request "
       "tokens for this audience"},
  };
  auto plugin = make_node_restriction({c.api.cache(), c.loop, c.random});
  auto user = std::make_shared<UserInfo>();
  user->name = "system:node:a";
  user->groups = {"system:nodes"};
  for (const Row& row : rows) {
    INFO(row.kind << " " << row.name << " " << row.uid << " " << row.audiences);
    json::Value body =
        *json::parse(std::string(R"({"spec":{"audiences":)") + row.audiences +
                     R"(,"boundObjectRef":{"apiVersion":"v1","kind":")" + row.kind +
                     R"(","name":")" + row.name + R"(","uid":")" + row.uid + "\"}}}");
    AdmissionRequest request;
    request.resource = api::find_resource("", "v1", "serviceaccounts");
    request.subresource = "token";
    request.ns = "default";
    request.name = "default";
    request.user = user;
    request.object = &body;
    Result<void> may = plugin->mutate(request);
    CHECK(may.ok() == (*row.why == '\0'));
    if (!may.ok()) CHECK(may.error().message.find(row.why) != std::string::npos);
  }
}

TEST_CASE("of volumes a node takes away nothing but the finalizer of its own local ones") {
  Cluster c;
  const std::string volumes = "/api/v1/persistentvolumes";
  for (const char* node : {"a", "b"}) {
    c.call("POST", volumes,
           std::string(R"({"metadata":{"name":"of-)") + node +
               R"(","labels":{"knarr.io/local-storage-node":")" + node +
               R"("},"finalizers":["knarr.io/local-storage","x/y"]},"spec":{
        "capacity":{"storage":"1Gi"},"accessModes":["ReadWriteOnce"],
        "hostPath":{"path":"/s"}}})");
    REQUIRE(c.status == 201);
  }
  struct Row {
    const char* name;
    const char* body;
    int status;
  };
  const char* without = R"({"metadata":{"finalizers":["x/y","kubernetes.io/pv-protection"]}})";
  const Row rows[] = {
      {"of-b", without, 403},
      {"of-b", R"({"metadata":{"labels":{"knarr.io/local-storage-node":"a"}}})", 403},
      {"of-a", R"({"metadata":{"finalizers":null}})", 403},
      {"of-a", R"({"spec":{"persistentVolumeReclaimPolicy":"Delete"}})", 403},
      {"of-a", without, 200},
  };
  for (const Row& row : rows) {
    INFO(row.name << " " << row.body);
    json::Value answer =
        c.call("PATCH", volumes + "/" + row.name, row.body,
               {{"X-User", "system:node:a"}, {"Content-Type", "application/merge-patch+json"}});
    INFO(json::write(answer));
    CHECK(c.status == row.status);
  }
}

TEST_CASE("a certificate is good for the machine that its node is known as, and for no other") {
  server::ApiServerOptions with_roles;
  Cluster c(with_roles);
  const std::string nodes = "/api/v1/nodes";
  auto node = [](const char* key) {
    return std::string(R"({"metadata":{"name":"a","annotations":{"knarr.io/node-key":")") + key +
           "\"}}}";
  };
  auto ask = [&](const char* key, const char* method, const std::string& path,
                 const std::string& body = "") {
    net::Headers headers{{"X-User", "system:node:a"}};
    if (*key != '\0') headers.add("X-Key", key);
    json::Value answer = c.call(method, path, body, std::move(headers));
    bool told = answer["message"].text().find("known as another machine") != std::string::npos;
    CHECK(told == (c.status == 403));
    return c.status;
  };
  // 400: it is let in, and the exchange of this test is none that can be upgraded.
  auto open = [&](const char* key, const char* path) {
    auto exchange = std::make_shared<FakeExchange>();
    exchange->request.method = "CONNECT";
    exchange->request.protocol = kTunnelProtocol;
    exchange->request.path = path;
    exchange->request.headers = {{"X-User", "system:node:a"}, {"X-Key", key}};
    c.api.handler()(exchange);
    REQUIRE(c.loop.run_until([&] { return !exchange->open(); }, 5000));
    return exchange->status_;
  };
  c.api.tunnels().on_packets([](const std::string&, std::unique_ptr<net::ByteStream>) {});
  const std::string review = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
  const std::string who = R"({"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"})";
  // A token got it in advance, and no Node.
  CHECK(open("early", kTunnelPath) == 400);
  CHECK(open("early", kTunnelPacketsPath) == 503);
  CHECK(ask("early", "POST", review, who) == 201);
  CHECK(ask("k1", "POST", nodes, node("k1")) == 201);
  for (const char* key : {"early", "k1", ""}) {
    CAPTURE(key);
    bool own = std::string_view(key) != "early";
    CHECK(ask(key, "GET", nodes + "/a") == (own ? 200 : 403));
    CHECK(ask(key, "POST", review, who) == (own ? 201 : 403));  // everybody's, by a role
    CHECK(ask(key, "GET", "/version") == (own ? 200 : 403));
    CHECK(open(key, kTunnelPath) == (own ? 400 : 403));
    CHECK(open(key, kTunnelPacketsPath) == (own ? 400 : 403));
  }
  // The old machine's does not come back with the name.
  c.call("DELETE", nodes + "/a");
  CHECK(ask("k2", "POST", nodes, node("k2")) == 201);
  CHECK(ask("k1", "GET", nodes + "/a") == 403);
  CHECK(ask("k2", "GET", nodes + "/a") == 200);
  // Kubelets of others' tell no key.
  c.patch(nodes + "/a", R"({"metadata":{"annotations":{"knarr.io/node-key":null}}})");
  CHECK(ask("k1", "GET", nodes + "/a") == 200);
}
