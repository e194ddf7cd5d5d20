// Nobody gives away more than he has: what each of a few users may make of roles and bindings.

#include "unit/http/api_cluster.h"

using namespace knarr;
using namespace knarr::server;

namespace {

const std::string kRbac = "/apis/rbac.authorization.k8s.io/v1/";
const std::string kRoles = kRbac + "namespaces/default/roles";
const std::string kBindings = kRbac + "namespaces/default/rolebindings";
const std::string kClusterRoles = kRbac + "clusterroles";

std::string rule(const char* verbs, const char* groups, const char* resources,
                 const char* names = "") {
  std::string out = R"({"verbs":[)" + std::string(verbs) + R"(],"apiGroups":[)" + groups +
                    R"(],"resources":[)" + resources + "]";
  if (*names != '\0') out += R"(,"resourceNames":[)" + std::string(names) + "]";
  return out + "}";
}

const std::string kPods = rule(R"("get","list")", R"("")", R"("pods")");
const std::string kSecrets = rule(R"("get")", R"("")", R"("secrets")");
const std::string kWriteRoles =
    rule(R"("create","update","patch")", R"("rbac.authorization.k8s.io")",
         R"("roles","rolebindings","clusterroles")");

std::string role(const char* name, const std::string& rules, const std::string& more = "") {
  return R"({"metadata":{"name":")" + std::string(name) + R"("},"rules":[)" + rules + "]" + more +
         "}";
}

std::string binding(const char* name, const char* kind, const char* of) {
  return R"({"metadata":{"name":")" + std::string(name) +
         R"("},"subjects":[{"kind":"User","name":"x","apiGroup":"rbac.authorization.k8s.io"}],)"
         R"("roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":")" +
         kind + R"(","name":")" + of + R"("}})";
}

// jane reads pods, maker may escalate, binder may bind one role; all write roles and bindings.
void make_users(Cluster& c) {
  const std::string escalate =
      rule(R"("escalate")", R"("rbac.authorization.k8s.io")", R"("roles")");
  const std::string bind =
      rule(R"("bind")", R"("rbac.authorization.k8s.io")", R"("clusterroles")", R"("secretive")");
  for (const auto& [user, rules] : {std::pair("jane", kPods + "," + kWriteRoles),
                                    std::pair("maker", kWriteRoles + "," + escalate),
                                    std::pair("binder", kWriteRoles + "," + bind)}) {
    c.call("POST", kClusterRoles, role(user, rules));
    REQUIRE(c.status == 201);
    std::string bound = binding(user, "ClusterRole", user);
    bound.replace(bound.find("\"x\""), 3, "\"" + std::string(user) + "\"");
    c.call("POST", kRbac + "clusterrolebindings", bound);
    REQUIRE(c.status == 201);
  }
  c.call("POST", kClusterRoles, role("reading", kPods));
  c.call("POST", kClusterRoles, role("secretive", kSecrets));
  c.call("POST", kRoles, role("above", kSecrets));
  REQUIRE(c.status == 201);
}

constexpr const char* kNotHeld =
    "is attempting to grant RBAC permissions not currently held:\n"
    "{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\"]}";
const std::string kAggregating =
    R"(,"aggregationRule":{"clusterRoleSelectors":[{"matchLabels":{"a":"b"}}]})";

}  // namespace

TEST_CASE("nobody grants what they do not hold") {
  Cluster c(AuthorizationMode::kRbac);
  make_users(c);
  struct Row {
    const char* user;
    const char* method;
    std::string path;
    std::string body;
    int status;
    std::string message;  // its end
  };
  const std::string named = rule(R"("get")", R"("")", R"("pods")", R"("one")");
  const Row rows[] = {
      {"jane", "POST", kRoles, role("same", kPods), 201, ""},
      {"jane", "POST", kRoles, role("less", named), 201, ""},
      {"jane", "POST", kRoles, role("none", ""), 201, ""},
      {"jane", "POST", kRoles, role("more", kSecrets), 403, kNotHeld},
      {"jane", "POST", kRoles, role("both", kPods + "," + kSecrets), 403, kNotHeld},
      {"jane", "PUT", kRoles + "/same", role("same", kSecrets), 403, kNotHeld},
      {"jane", "PUT", kRoles + "/same", role("same", named), 200, ""},
      {"jane", "POST", kClusterRoles, role("wide", kSecrets), 403, kNotHeld},
      {"jane", "POST", kClusterRoles, role("sum", "", kAggregating), 403,
       "must have cluster-admin privileges to use the aggregationRule"},
      {"jane", "POST", kBindings, binding("a", "ClusterRole", "reading"), 201, ""},
      {"jane", "POST", kBindings, binding("b", "Role", "same"), 201, ""},
      {"jane", "POST", kBindings, binding("c", "ClusterRole", "secretive"), 403, kNotHeld},
      {"jane", "POST", kBindings, binding("d", "Role", "above"), 403, kNotHeld},
      {"jane", "POST", kBindings, binding("e", "Role", "nope"), 404,
       R"(role.rbac.authorization.k8s.io "nope" not found)"},
      {"maker", "POST", kRoles, role("escalated", kSecrets), 201, ""},
      {"maker", "POST", kClusterRoles, role("escalated", kSecrets), 403, kNotHeld},
      {"maker", "POST", kBindings, binding("f", "Role", "above"), 403, kNotHeld},
      {"binder", "POST", kBindings, binding("g", "ClusterRole", "secretive"), 201, ""},
      {"binder", "POST", kBindings, binding("h", "ClusterRole", "reading"), 403,
       R"({APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]})"},
      {"binder", "POST", kBindings, binding("i", "Role", "above"), 403, kNotHeld},
      {"", "POST", kRoles, role("masters", kSecrets), 201, ""},
      {"", "POST", kClusterRoles, role("sum", "", kAggregating), 201, ""},
  };
  for (const Row& row : rows) {
    INFO(row.user << " " << row.path << " " << row.body);
    net::Headers headers;
    if (*row.user != '\0') headers.add("X-User", row.user);
    json::Value answer = c.call(row.method, row.path, row.body, headers);
    CHECK(c.status == row.status);
    if (row.message.empty()) continue;
    std::string message = answer["message"].text();
    INFO(message);
    CHECK(message.ends_with(row.message));
  }
}

TEST_CASE("owners and finalizers of a role are changed without holding it") {
  Cluster c(AuthorizationMode::kRbac);
  make_users(c);
  auto patch = [&c](const char* body) {
    c.call("PATCH", kRoles + "/above", body,
           {{"Content-Type", "application/merge-patch+json"}, {"X-User", "jane"}});
    return c.status;
  };
  CHECK(patch(R"({"metadata":{"finalizers":["example.com/hold"]}})") == 200);
  CHECK(patch(R"({"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"m",
                  "uid":"u"}]}})") == 200);
  CHECK(patch(R"({"metadata":{"labels":{"a":"b"}}})") == 403);
  CHECK(patch(R"({"metadata":{"finalizers":null},"rules":[]})") == 200);
}

TEST_CASE("nobody is refused for good by a server that is starting") {
  Cluster c(AuthorizationMode::kRbac);
  bool ready = false;
  c.api.also_ready([&] { return ready; });
  for (bool now : {false, true}) {
    ready = now;
    json::Value said = c.call("GET", kMaps, "", {{"X-Unknown", "yes"}});
    CHECK(c.status == (now ? 401 : 503));
    CHECK(said["message"].as_string() == (now ? "Unauthorized" : "the server is starting"));
    CHECK(c.answer_headers.get("Retry-After") == (now ? "" : "1"));
    c.call("GET", kMaps, "", {{"X-User", "stranger"}});
    CHECK(c.status == (now ? 403 : 503));
    c.call("GET", kMaps);
    CHECK(c.status == 200);
    c.call("GET", "/readyz");
    CHECK(c.status == (now ? 200 : 500));
  }
}
