// Role based decisions over a policy in memory, and the policy every cluster begins with.
#include "server/auth/rbac.h"

#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "server/auth/bootstrap_policy.h"
#include "server/auth/policy_rules.h"

using namespace knarr;          // NOLINT
using namespace knarr::server;  // NOLINT

namespace {

// Roles and bindings as their objects' JSON.
class Policy final : public PolicySource {
 public:
  void add(const char* text) {
    json::Value object = json::parse(text).value();
    std::string ns = object["metadata"]["namespace"].text();
    if (object.has("roleRef")) {
      bindings_[ns].push_back(read_binding(object));
    } else {
      roles_[{ns, object["metadata"]["name"].text()}] =
          std::make_shared<const std::vector<PolicyRule>>(read_rules(object["rules"]));
    }
  }
  void visit_bindings(const std::string& ns,
                      const std::function<bool(const Binding&)>& visit) const override {
    auto found = bindings_.find(ns);
    if (found == bindings_.end()) return;
    for (const Binding& b : found->second) {
      if (!visit(b)) return;
    }
  }
  Rules rules(const RoleRef& role, const std::string& ns) const override {
    auto found = roles_.find({role.kind == "ClusterRole" ? "" : ns, role.name});
    return found == roles_.end() ? nullptr : found->second;
  }

 private:
  std::map<std::string, std::vector<Binding>> bindings_;
  std::map<std::pair<std::string, std::string>, Rules> roles_;
};

UserRef user(std::string name, std::vector<std::string> groups = {}) {
  return std::make_shared<const UserInfo>(UserInfo{std::move(name), "", std::move(groups), {}, ""});
}

Attributes asks(UserRef who, std::string verb, std::string group, std::string resource,
                std::string ns, std::string name = "") {
  Attributes a;
  a.user = std::move(who);
  a.verb = std::move(verb);
  a.resource_request = true;
  a.group = std::move(group);
  size_t slash = resource.find('/');
  if (slash != std::string::npos) a.subresource = resource.substr(slash + 1);
  a.resource = resource.substr(0, slash);
  a.ns = std::move(ns);
  a.name = std::move(name);
  return a;
}

Attributes asks_path(UserRef who, std::string verb, std::string path) {
  Attributes a;
  a.user = std::move(who);
  a.verb = std::move(verb);
  a.path = std::move(path);
  return a;
}

Policy policy() {
  Policy p;
  p.add(R"({"metadata":{"name":"r","namespace":"n"},"rules":[
    {"apiGroups":[""],"resources":["configmaps"],"verbs":["get","update"],"resourceNames":["mine"]},
    {"apiGroups":[""],"resources":["pods/log","secrets"],"verbs":["list"]},
    {"apiGroups":["apps"],"resources":["*/scale"],"verbs":["*"]}]})");
  p.add(
      R"({"metadata":{"name":"b","namespace":"n"},"roleRef":{"kind":"Role","name":"r"},"subjects":[
    {"kind":"Group","name":"devs"},{"kind":"ServiceAccount","name":"robot"}]})");
  p.add(R"({"metadata":{"name":"urls"},"rules":[
    {"nonResourceURLs":["/a/*","/b"],"verbs":["get"]}]})");
  p.add(R"({"metadata":{"name":"cb"},"roleRef":{"kind":"ClusterRole","name":"urls"},"subjects":[
    {"kind":"User","name":"zed"},{"kind":"ServiceAccount","name":"robot"},
    {"kind":"ServiceAccount","name":"other","namespace":"n"}]})");
  p.add(R"({"metadata":{"name":"lost"},"roleRef":{"kind":"ClusterRole","name":"gone"},"subjects":[
    {"kind":"User","name":"sad"}]})");
  return p;
}

}  // namespace

TEST_CASE("rbac allows what a bound role's rules say, and names the binding") {
  Policy p = policy();
  RbacAuthorizer rbac(p);
  UserRef jane = user("jane", {"devs"});
  UserRef robot = user("system:serviceaccount:n:robot");
  UserRef zed = user("zed");
  const std::string by_group =
      "RBAC: allowed by RoleBinding \"b/n\" of Role \"r\" to Group \"devs\"";
  const std::string by_account =
      "RBAC: allowed by RoleBinding \"b/n\" of Role \"r\" to ServiceAccount \"robot/n\"";
  const std::string by_user =
      "RBAC: allowed by ClusterRoleBinding \"cb\" of ClusterRole \"urls\" to User \"zed\"";
  struct Row {
    Attributes asked;
    bool allowed;
    std::string reason;
  };
  const Row rows[] = {
      {asks(jane, "get", "", "configmaps", "n", "mine"), true, by_group},
      {asks(jane, "get", "", "configmaps", "n", "yours"), false, ""},
      {asks(jane, "list", "", "configmaps", "n"), false, ""},
      {asks(jane, "list", "", "secrets", "n"), true, by_group},
      {asks(jane, "list", "", "secrets", "m"), false, ""},
      {asks(jane, "list", "", "secrets", ""), false, ""},
      {asks(jane, "list", "apps", "secrets", "n"), false, ""},
      {asks(jane, "list", "", "pods/log", "n"), true, by_group},
      {asks(jane, "list", "", "pods", "n"), false, ""},
      {asks(jane, "patch", "apps", "deployments/scale", "n", "d"), true, by_group},
      {asks(jane, "patch", "apps", "deployments", "n", "d"), false, ""},
      {asks(robot, "list", "", "secrets", "n"), true, by_account},
      {asks(user("system:serviceaccount:m:robot"), "list", "", "secrets", "n"), false, ""},
      {asks_path(zed, "get", "/a/x"), true, by_user},
      {asks_path(zed, "get", "/a"), false, ""},
      {asks_path(zed, "get", "/b"), true, by_user},
      {asks_path(zed, "get", "/bc"), false, ""},
      {asks_path(zed, "post", "/b"), false, ""},
      // A cluster binding's account without a namespace is nobody.
      {asks_path(robot, "get", "/b"), false, ""},
      {asks(user("sad"), "get", "", "pods", "n"), false,
       "RBAC: clusterrole.rbac.authorization.k8s.io \"gone\" not found"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.asked.user->name, row.asked.verb, row.asked.resource, row.asked.path);
    Decision decision = rbac.authorize(row.asked);
    REQUIRE(decision.allowed == row.allowed);
    REQUIRE(decision.reason == row.reason);
  }
  REQUIRE(rbac.rules_of(jane, "n").rules.size() == 3);
  REQUIRE(rbac.rules_of(jane, "").rules.empty());
  REQUIRE(rbac.rules_of(user("sad"), "").error ==
          "clusterrole.rbac.authorization.k8s.io \"gone\" not found");
}

TEST_CASE("who grants more than he holds is told what he lacks") {
  auto rules = [](const char* text) { return read_rules(json::parse(text).value()); };
  struct Row {
    const char* held;
    const char* wanted;
    const char* missing;  // as lines; "" when nothing is
  };
  const Row rows[] = {
      {"[]", "[]", ""},
      {R"([{"verbs":["*"],"apiGroups":["*"],"resources":["*"]}])",
       R"([{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}])", ""},
      {R"([{"verbs":["*"],"apiGroups":["*"],"resources":["*"]}])",
       R"([{"verbs":["get"],"nonResourceURLs":["/x"]}])",
       "{NonResourceURLs:[\"/x\"], Verbs:[\"get\"]}"},
      {R"([{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}])",
       R"([{"verbs":["get","list","watch"],"apiGroups":["","apps"],"resources":["pods"]}])",
       "{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"list\" \"watch\"]}\n"
       "{APIGroups:[\"apps\"], Resources:[\"pods\"], Verbs:[\"get\" \"list\" \"watch\"]}"},
      {R"([{"verbs":["get"],"apiGroups":[""],"resources":["*/status"]}])",
       R"([{"verbs":["get"],"apiGroups":[""],"resources":["pods/status"]}])", ""},
      {R"([{"verbs":["get"],"apiGroups":[""],"resources":["pods"],"resourceNames":["a"]}])",
       R"([{"verbs":["get"],"apiGroups":[""],"resources":["pods"],"resourceNames":["a","b"]}])",
       "{APIGroups:[\"\"], Resources:[\"pods\"], ResourceNames:[\"b\"], Verbs:[\"get\"]}"},
      {R"([{"verbs":["get"],"apiGroups":[""],"resources":["pods"],"resourceNames":["a"]}])",
       R"([{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}])",
       "{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"get\"]}"},
      {R"([{"verbs":["get"],"nonResourceURLs":["/a/*"]}])",
       R"([{"verbs":["get"],"nonResourceURLs":["/a/b","/a/*"]}])", ""},
  };
  UserRef jane = user("jane", {"devs", "system:authenticated"});
  for (const Row& row : rows) {
    CAPTURE(row.held, row.wanted);
    std::string told = escalation(*jane, {rules(row.held), false, ""}, rules(row.wanted));
    std::string expected;
    if (*row.missing != '\0') {
      expected =
          "user \"jane\" (groups=[\"devs\" \"system:authenticated\"]) is attempting to grant RBAC "
          "permissions not currently held:\n";
      expected += row.missing;
    }
    REQUIRE(told == expected);
  }
}

TEST_CASE("the policy a cluster begins with is whole") {
  std::map<std::string, int> counts;
  std::set<std::string> roles;
  for (const BootstrapObject& o : bootstrap_policy()) {
    counts[o.resource]++;
    const json::Value& meta = o.object["metadata"];
    std::string ns = meta["namespace"].text();
    if (!o.object.has("roleRef")) {
      roles.insert(ns + "/" + meta["name"].text());
      for (const json::Value& rule : o.object["rules"].elements()) {
        REQUIRE(!rule["verbs"].empty());
        REQUIRE(rule["resources"].empty() == !rule["nonResourceURLs"].empty());
      }
    } else {
      const json::Value& ref = o.object["roleRef"];
      std::string of = ref["kind"].as_string() == "ClusterRole" ? "" : ns;
      CAPTURE(meta["name"].text());
      REQUIRE(roles.contains(of + "/" + ref["name"].text()));
    }
  }
  REQUIRE(counts["clusterroles"] > 60);
  REQUIRE(counts["clusterrolebindings"] > 40);
  REQUIRE(counts["roles"] == counts["rolebindings"]);
  REQUIRE(bootstrap_rules("cluster-admin").size() == 2);
  REQUIRE(bootstrap_rules("system:node").size() > 10);
}

TEST_CASE("what stands of the policy is completed, never cut") {
  auto value = [](const char* text) { return json::parse(text).value(); };
  const char* wanted =
      R"({"metadata":{"name":"r","annotations":{"a":"1"},"labels":{"l":"1"}},)"
      R"("rules":[{"verbs":["get","list"],"apiGroups":[""],"resources":["pods"]}]})";
  struct Row {
    const char* there;
    const char* becomes;  // null: stays
    const char* wanted;
  };
  const Row rows[] = {
      {wanted, nullptr, wanted},
      {R"({"metadata":{"name":"r","annotations":{"rbac.authorization.kubernetes.io/autoupdate":"false"}}})",
       nullptr, wanted},
      {R"({"metadata":{"annotations":{"a":"2"},"labels":{"l":"1"}},"rules":[)"
       R"({"verbs":["get","watch"],"apiGroups":[""],"resources":["pods"]}]})",
       R"({"metadata":{"annotations":{"a":"2"},"labels":{"l":"1"}},"rules":[)"
       R"({"verbs":["get","watch"],"apiGroups":[""],"resources":["pods"]},)"
       R"({"verbs":["list"],"apiGroups":[""],"resources":["pods"]}]})",
       wanted},
      {R"({"metadata":{},"roleRef":{"name":"r"},"subjects":[{"name":"a"}]})",
       R"({"metadata":{"annotations":null,"labels":null},"roleRef":{"name":"r"},)"
       R"("subjects":[{"name":"a"},{"name":"b"}]})",
       R"({"metadata":{},"roleRef":{"name":"r"},"subjects":[{"name":"b"}]})"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.there);
    bool replace = true;
    json::Value now = reconciled_policy(value(row.there), value(row.wanted), replace);
    REQUIRE(!replace);
    REQUIRE(now == (row.becomes == nullptr ? json::Value() : value(row.becomes)));
  }
  bool replace = false;
  json::Value other = value(R"({"metadata":{},"roleRef":{"name":"other"}})");
  reconciled_policy(value(R"({"metadata":{},"roleRef":{"name":"r"}})"), other, replace);
  REQUIRE(replace);
}
