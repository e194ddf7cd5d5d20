#include "agent/policy/policy_rules.h"

#include <catch2/catch.hpp>

#include "base/format.h"

using namespace knarr;
using namespace knarr::agent;

namespace {

struct World {
  World() {
    name_space("default", R"({"team":"a"})");
    name_space("other", R"({"team":"b"})");
    pod("default", "web", "n1", "10.42.0.2", R"({"app":"web"})");
    pod("default", "db", "n2", "10.42.1.2", R"({"app":"db"})");
    pod("other", "web", "n2", "10.42.1.3", R"({"app":"web"})");
    pod("other", "job", "n1", "10.42.0.3", R"({"app":"job"})");
  }
  void name_space(const std::string& name, const std::string& labels) {
    state.namespaces[name] = parse_labels(*json::parse(labels));
  }
  void pod(const std::string& ns, const std::string& name, const std::string& node,
           const std::string& ip, const std::string& labels, const std::string& more = "") {
    state.pods[{ns, name}] = parse_policy_pod(*json::parse(fmt::format(
        R"({{"metadata":{{"labels":{}}},"spec":{{"nodeName":"{}"{}}},"status":{{"podIP":"{}"}}}})",
        labels, node, more, ip)));
  }
  void policy(const std::string& name, const std::string& spec, const std::string& ns = "default") {
    state.policies[{ns, name}] = parse_policy(
        *json::parse(R"({"metadata":{"namespace":")" + ns + R"("},"spec":)" + spec + "}"));
  }
  RuleSet rules(bool v6 = false) const { return policy_rules(state, {"K", "n1", "0x8/0x8", v6}); }

  PolicyState state;
};

// Without hashes and the constant parts, so that expectations can be read: "yes" sets the mark.
std::string readable(const std::string& rules) {
  std::string out;
  for (size_t i = 0; i < rules.size(); i++) {
    out += rules[i];
    for (const char* kind :
         {"K-PI-", "K-PE-", "K-NPI-", "K-NPE-", "K-PS-", "K-PD-", "K-PBS-", "K-PBD-"}) {
      if (!out.ends_with(kind)) continue;
      out.pop_back();
      i += 13;
    }
  }
  auto replace = [&out](const std::string& from, const std::string& to) {
    for (size_t at = 0; (at = out.find(from, at)) != std::string::npos; at += to.size()) {
      out.replace(at, from.size(), to);
    }
  };
  replace("-j MARK --set-xmark 0x8/0x8", "yes");
  replace("-j MARK --set-xmark 0x0/0x8", "clear");
  return out;
}

// The rules of all chains of a kind, "-A" and chain left out, joined by "; ".
std::string of(const RuleSet& rules, const std::string& kind) {
  std::string out;
  auto table = rules.tables.find("filter");
  if (table == rules.tables.end()) return out;
  for (const auto& [chain, text] : table->second.chains) {
    if (chain != kind && !(chain.starts_with(kind + "-") && chain.size() == kind.size() + 14)) {
      continue;
    }
    std::string plain = readable(text), head = "-A " + kind + " ";
    for (size_t at = 0; at < plain.size();) {
      size_t end = plain.find('\n', at);
      if (!out.empty()) out += "; ";
      out += plain.substr(at + head.size(), end - at - head.size());
      at = end + 1;
    }
  }
  return out;
}

// What the policy's own chain and its sources' say of one ingress or egress rule.
std::string allowed(const World& base, const std::string& direction, const std::string& rule) {
  World w = base;
  w.policy("p", R"({"podSelector":{"matchLabels":{"app":"web"}},"policyTypes":[")" + direction +
                    R"("],")" + (direction == "Ingress" ? "ingress" : "egress") + R"(":[)" + rule +
                    "]}");
  RuleSet r = w.rules();
  std::string out;
  for (const char* kind : {"K-NPI", "K-NPE", "K-PS", "K-PD", "K-PBS", "K-PBD"}) {
    std::string text = of(r, kind);
    if (!text.empty()) out += fmt::format("{}{}: {}", out.empty() ? "" : " | ", kind, text);
  }
  return out;
}

}  // namespace

TEST_CASE("without a policy for a pod of this node there are no rules") {
  World w;
  CHECK(w.rules().tables.empty());
  w.policy("elsewhere", R"({"podSelector":{"matchLabels":{"app":"db"}}})");
  w.policy("nobody", R"({"podSelector":{"matchLabels":{"app":"none"}}})");
  w.policy("nowhere", R"({"podSelector":{}})", "empty");
  CHECK(w.rules().tables.empty());
}

TEST_CASE("a policy without rules refuses what comes; what goes is not its matter") {
  const char* spec = GENERATE(R"({"podSelector":{}})", R"({"podSelector":null})", "{}");
  World w;
  w.policy("deny", spec);
  RuleSet r = w.rules();
  CHECK(of(r, "K-POLICY") ==
        "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN; "
        "-d 10.42.0.2/32 -m comment --comment \"default/web\" -j K-PI; clear");
  CHECK(of(r, "K-PI") ==
        "-s 10.42.0.2/32 -j RETURN; clear; -m comment --comment \"default/deny\" -j K-NPI; "
        "-m mark --mark 0x8/0x8 -j RETURN; -j DROP");
  CHECK(of(r, "K-NPI").empty());
  CHECK(of(r, "K-PE").empty());
  REQUIRE(r.tables.at("filter").jumps.size() == 1);
  CHECK(r.tables.at("filter").jumps[0].chain == "FORWARD");
}

TEST_CASE("directions of a policy") {
  World w;
  w.policy("p", R"({"podSelector":{},"policyTypes":["Egress"]})");
  RuleSet r = w.rules();
  CHECK(of(r, "K-PI").empty());
  CHECK(of(r, "K-PE") ==
        "-d 10.42.0.2/32 -j RETURN; clear; -m comment --comment \"default/p\" -j K-NPE; "
        "-m mark --mark 0x8/0x8 -j RETURN; -j DROP");
  CHECK(of(r, "K-POLICY").find("-s 10.42.0.2/32 -m comment --comment \"default/web\" -j K-PE") !=
        std::string::npos);
  SECTION("not said: ingress, and egress where there are rules for it") {
    w.policy("p", R"({"podSelector":{},"egress":[{}]})");
    r = w.rules();
    CHECK(!of(r, "K-PI").empty());
    CHECK(of(r, "K-NPE") == "yes");
  }
  SECTION("of two policies one is enough") {
    w.policy("q", R"({"podSelector":{},"policyTypes":["Egress"],"egress":[{}]})");
    CHECK(of(w.rules(), "K-PE") ==
          "-d 10.42.0.2/32 -j RETURN; clear; -m comment --comment \"default/p\" -j K-NPE; "
          "-m comment --comment \"default/q\" -j K-NPE; -m mark --mark 0x8/0x8 -j RETURN; -j DROP");
  }
}

TEST_CASE("what a rule lets pass") {
  World w;
  auto ingress = [&](const char* rule) { return allowed(w, "Ingress", rule); };
  auto egress = [&](const char* rule) { return allowed(w, "Egress", rule); };
  CHECK(ingress("{}") == "K-NPI: yes");
  CHECK(ingress(R"({"from":[],"ports":[]})") == "K-NPI: yes");
  SECTION("pods of the policy's namespace") {
    CHECK(ingress(R"({"from":[{"podSelector":{"matchLabels":{"app":"db"}}}]})") ==
          "K-NPI: -j K-PS | K-PS: -s 10.42.1.2/32 yes");
    CHECK(ingress(R"({"from":[{"podSelector":{}}]})") ==
          "K-NPI: -j K-PS | K-PS: -s 10.42.0.2/32 yes; -s 10.42.1.2/32 yes");
    CHECK(ingress(R"({"from":[{"podSelector":{"matchLabels":{"app":"none"}}}]})") ==
          "K-NPI: -j K-PS");
  }
  SECTION("namespaces, and pods in them") {
    CHECK(ingress(R"({"from":[{"namespaceSelector":{"matchLabels":{"team":"b"}}}]})") ==
          "K-NPI: -j K-PS | K-PS: -s 10.42.0.3/32 yes; -s 10.42.1.3/32 yes");
    CHECK(egress(R"({"to":[{"namespaceSelector":{"matchExpressions":
             [{"key":"team","operator":"In","values":["b","c"]}]},
             "podSelector":{"matchExpressions":[{"key":"app","operator":"NotIn","values":["job"]}]}}
             ]})") == "K-NPE: -j K-PD | K-PD: -d 10.42.1.3/32 yes");
    CHECK(ingress(R"({"from":[{"namespaceSelector":{}},{"podSelector":{}}]})") ==
          "K-NPI: -j K-PS | K-PS: -s 10.42.0.2/32 yes; -s 10.42.0.3/32 yes; -s 10.42.1.2/32 yes; "
          "-s 10.42.1.3/32 yes");
  }
  SECTION("blocks") {
    CHECK(ingress(R"({"from":[{"ipBlock":{"cidr":"192.0.2.0/24"}}]})") ==
          "K-NPI: -j K-PS | K-PS: -s 192.0.2.0/24 yes");
    CHECK(egress(R"({"to":[{"ipBlock":{"cidr":"0.0.0.0/0","except":["10.0.0.0/8"]}}]})") ==
          "K-NPE: -j K-PD | K-PD: -d 0.0.0.0/0 -j K-PBD | K-PBD: -d 10.0.0.0/8 -j RETURN; yes");
    CHECK(ingress(R"({"from":[{"ipBlock":{"cidr":"fd00::/8"}}]})") == "K-NPI: -j K-PS");
    CHECK(ingress(R"({"from":[{"ipBlock":{"cidr":"x"}}]})") == "K-NPI: -j K-PS");
  }
  SECTION("ports") {
    CHECK(ingress(R"({"ports":[{"port":80},{"protocol":"UDP","port":53},{"protocol":"SCTP"},
             {"port":32000,"endPort":32768}]})") ==
          "K-NPI: -p tcp -m tcp --dport 80 yes; -p udp -m udp --dport 53 yes; -p sctp yes; "
          "-p tcp -m tcp --dport 32000:32768 yes");
    CHECK(egress(
              R"({"to":[{"podSelector":{"matchLabels":{"app":"db"}}}],"ports":[{"port":5432}]})") ==
          "K-NPE: -p tcp -m tcp --dport 5432 -j K-PD | K-PD: -d 10.42.1.2/32 yes");
    CHECK(ingress(R"({"ports":[{"port":90000},{"protocol":"X","port":1},{"port":9,"endPort":8}]})")
              .empty());
  }
}

TEST_CASE("a named port is what the pod that is reached says") {
  World w;
  const char* http = R"(,"containers":[{"ports":[{"name":"http","containerPort":8080}]}])";
  const char* moved = R"(,"containers":[{"ports":[{"name":"http","containerPort":8081}]}])";
  w.pod("default", "web", "n1", "10.42.0.2", R"({"app":"web"})", http);
  CHECK(allowed(w, "Ingress", R"({"ports":[{"port":"http"},{"port":"none"}]})") ==
        "K-NPI: -p tcp -m tcp --dport 8080 yes");
  w.pod("default", "web2", "n1", "10.42.0.9", R"({"app":"web"})", moved);
  CHECK(allowed(w, "Ingress", R"({"ports":[{"port":"http"}]})").find("--dport 8081 yes") !=
        std::string::npos);
  CHECK(allowed(w, "Egress", R"({"to":[{"podSelector":{}}],"ports":[{"port":"http"}]})") ==
        "K-NPE: -d 10.42.0.2/32 -p tcp -m tcp --dport 8080 yes; "
        "-d 10.42.0.9/32 -p tcp -m tcp --dport 8081 yes");
}

TEST_CASE("pods that are over, on the host's network or without an address are nobody's peers") {
  World w;
  w.policy("p", R"({"podSelector":{},"ingress":[{"from":[{"namespaceSelector":{}}]}]})");
  w.state.pods.clear();
  w.pod("default", "web", "n1", "10.42.0.2", "{}");
  w.pod("default", "host", "n1", "192.0.2.1", "{}", R"(,"hostNetwork":true)");
  w.pod("default", "new", "n1", "", "{}");
  w.state.pods[{"default", "done"}] = parse_policy_pod(*json::parse(
      R"({"spec":{"nodeName":"n1"},"status":{"phase":"Succeeded","podIP":"10.42.0.7"}})"));
  RuleSet r = w.rules();
  CHECK(of(r, "K-PS") == "-s 10.42.0.2/32 yes");
  CHECK(of(r, "K-POLICY").find("10.42.0.7") == std::string::npos);
  CHECK(of(r, "K-POLICY").find("192.0.2.1") == std::string::npos);
}

TEST_CASE("each family has its own addresses") {
  World w;
  w.policy("p", R"({"podSelector":{},"ingress":[{"from":[{"ipBlock":{"cidr":"fd00::/8"}},
      {"ipBlock":{"cidr":"192.0.2.0/24"}}]}]})");
  w.state.pods[{"default", "web"}].addresses.push_back(*api::IpAddress::parse("fd42::2"));
  CHECK(of(w.rules(true), "K-PS") == "-s fd00::/8 yes");
  CHECK(of(w.rules(true), "K-POLICY").find("-d fd42::2/128") != std::string::npos);
  CHECK(of(w.rules(), "K-PS") == "-s 192.0.2.0/24 yes");
}
