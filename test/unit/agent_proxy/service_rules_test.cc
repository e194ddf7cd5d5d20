#include "agent/proxy/service_rules.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "agent/proxy/service_endpoints.h"
#include "base/format.h"
#include "knarr/check.h"
#include "unit/agent_proxy/all_service_rules.h"

using namespace knarr;
using namespace knarr::agent;

namespace {

ServiceState state_of(std::string_view service, std::string_view slice) {
  ServiceState state;
  ServiceView s = parse_service(*json::parse(service));
  state.services[s.name] = s;
  if (!slice.empty()) {
    SliceView e = parse_slice(*json::parse(slice));
    state.slices[{e.name.ns, e.service}][e.name.name] = e;
  }
  return state;
}

std::string service(std::string_view spec, std::string_view status = "{}") {
  return R"({"metadata":{"namespace":"default","name":"web"},"spec":)" + std::string(spec) +
         R"(,"status":)" + std::string(status) + "}";
}

std::string slice(std::string_view endpoints) {
  return R"({"metadata":{"namespace":"default","name":"web-1",
      "labels":{"kubernetes.io/service-name":"web"}},"addressType":"IPv4",
      "ports":[{"name":"http","protocol":"TCP","port":8080}],"endpoints":)" +
         std::string(endpoints) + "}";
}

// Chains with hashes as their kind: "SVC"; so that expectations can be read.
std::string readable(const std::string& rules) {
  std::string out;
  for (size_t i = 0; i < rules.size(); i++) {
    out += rules[i];
    for (const char* kind : {"K-SVC-", "K-SEP-", "K-EXT-", "K-SVL-", "K-FW-"}) {
      if (out.ends_with(kind)) {
        out.pop_back();
        i += 14 - 1;
      }
    }
  }
  return out;
}

std::string chain_of(const RuleSet& rules, const std::string& table, const std::string& name) {
  std::string all;
  for (const auto& [chain, text] : rules.tables.at(table).chains) {
    if (chain == name || (chain.starts_with(name + "-") && chain.size() == name.size() + 14)) {
      all += readable(text);
    }
  }
  return all;
}

ServiceRulesConfig config() {
  ServiceRulesConfig c;
  c.prefix = "K";
  c.node_name = "n1";
  c.cluster_cidr = "10.42.0.0/16";
  c.answered_here = {"10.43.0.10"};
  return c;
}

constexpr char kTwo[] = R"([{"addresses":["10.42.0.5"],"nodeName":"n1","conditions":{"ready":true}},
  {"addresses":["10.42.1.6"],"nodeName":"n2","conditions":{"ready":true}},
  {"addresses":["10.42.1.7"],"nodeName":"n2","conditions":{"ready":false}}])";
constexpr char kPorts[] =
    R"("ports":[{"name":"http","protocol":"TCP","port":80,"nodePort":30080}])";

std::string spec(const std::string& more) {
  return R"({"clusterIP":"10.43.1.1","clusterIPs":["10.43.1.1"],)" + more + kPorts + "}";
}

}  // namespace

TEST_CASE("a cluster IP leads to its ready endpoints, by chance") {
  RuleSet r = all_service_rules(state_of(service(spec("")), slice(kTwo)), config());
  CHECK(chain_of(r, "nat", "K-SERVICES") ==
        "-A K-SERVICES -d 10.43.1.1/32 -p tcp -m tcp --dport 80 -m comment --comment "
        "\"default/web:http cluster IP\" -j K-SVC\n"
        "-A K-SERVICES -m comment --comment \"service node ports\" -m addrtype --dst-type LOCAL "
        "-j K-NODEPORTS\n");
  CHECK(chain_of(r, "nat", "K-SVC") ==
        "-A K-SVC ! -s 10.42.0.0/16 -d 10.43.1.1/32 -p tcp -m tcp --dport 80 -j K-MARK-MASQ\n"
        "-A K-SVC -m comment --comment \"default/web:http -> 10.42.0.5:8080\" -m statistic --mode "
        "random --probability 0.5000000000 -j K-SEP\n"
        "-A K-SVC -m comment --comment \"default/web:http -> 10.42.1.6:8080\" -j K-SEP\n");
  std::string endpoints = chain_of(r, "nat", "K-SEP");
  CHECK(endpoints.find("-A K-SEP -s 10.42.0.5/32 -j K-MARK-MASQ\n"
                       "-A K-SEP -p tcp -m tcp -j DNAT --to-destination 10.42.0.5:8080\n") !=
        std::string::npos);
  CHECK(endpoints.find("10.42.1.7") == std::string::npos);
  CHECK(chain_of(r, "nat", "K-NODEPORTS") ==
        "-A K-NODEPORTS -p tcp -m tcp --dport 30080 -m comment --comment \"default/web:http\" "
        "-j K-EXT\n");
  CHECK(chain_of(r, "nat", "K-EXT") ==
        "-A K-EXT -m comment --comment \"default/web:http from outside\" -j K-MARK-MASQ\n"
        "-A K-EXT -j K-SVC\n");
}

TEST_CASE("the same in IPv6, from endpoints of that family alone") {
  auto state =
      state_of(service(R"({"type":"LoadBalancer","clusterIP":"10.43.1.1","clusterIPs":
      ["10.43.1.1","fd00:43::1"],"externalIPs":["192.0.2.9","2001:db8::9"],"sessionAffinity":"ClientIP",
      "loadBalancerSourceRanges":["2001:db8:1::/48"],)" +
                           std::string(kPorts) + "}",
                       R"({"loadBalancer":{"ingress":[{"ip":"192.0.2.1"},{"ip":"2001:db8::1"}]}})"),
               slice(kTwo));
  SliceView six = parse_slice(*json::parse(R"({"metadata":{"namespace":"default","name":"web-2",
      "labels":{"kubernetes.io/service-name":"web"}},"addressType":"IPv6",
      "ports":[{"name":"http","protocol":"TCP","port":8080}],"endpoints":[{"addresses":["fd00:42::5"]}]})"));
  state.slices[{"default", "web"}]["web-2"] = six;
  ServiceRulesConfig c = config();
  c.cluster_cidr = "10.42.0.0/16,fd00:42::/56";
  c.v6 = true;
  RuleSet r = all_service_rules(state, c);
  CHECK(chain_of(r, "nat", "K-SERVICES") ==
        "-A K-SERVICES -d fd00:43::1/128 -p tcp -m tcp --dport 80 -m comment --comment "
        "\"default/web:http cluster IP\" -j K-SVC\n"
        "-A K-SERVICES -d 2001:db8::9/128 -p tcp -m tcp --dport 80 -m comment --comment "
        "\"default/web:http external IP\" -j K-EXT\n"
        "-A K-SERVICES -d 2001:db8::1/128 -p tcp -m tcp --dport 80 -m comment --comment "
        "\"default/web:http load balancer IP\" -j K-FW\n"
        "-A K-SERVICES -m comment --comment \"service node ports\" -m addrtype --dst-type LOCAL "
        "-j K-NODEPORTS\n");
  CHECK(chain_of(r, "nat", "K-SVC") ==
        "-A K-SVC ! -s fd00:42::/56 -d fd00:43::1/128 -p tcp -m tcp --dport 80 -j K-MARK-MASQ\n"
        "-A K-SVC -m recent --rcheck --seconds 10800 --reap --name K-SEP --mask "
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff --rsource -j K-SEP\n"
        "-A K-SVC -m comment --comment \"default/web:http -> [fd00:42::5]:8080\" -j K-SEP\n");
  CHECK(chain_of(r, "nat", "K-SEP") ==
        "-A K-SEP -s fd00:42::5/128 -j K-MARK-MASQ\n"
        "-A K-SEP -p tcp -m recent --set --name K-SEP --mask "
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff --rsource -m tcp -j DNAT --to-destination "
        "[fd00:42::5]:8080\n");
  CHECK(chain_of(r, "nat", "K-FW") == "-A K-FW -s 2001:db8:1::/48 -j K-EXT\n-A K-FW -j K-DROP\n");
  for (const auto& [name, table] : r.tables) {
    for (const auto& [chain, rules] : table.chains) CHECK(rules.find("10.4") == rules.npos);
  }
  c.v6 = false;
  r = all_service_rules(state, c);
  for (const auto& [name, table] : r.tables) {
    for (const auto& [chain, rules] : table.chains) CHECK(rules.find("fd00") == rules.npos);
  }
}

TEST_CASE("session affinity remembers the endpoint") {
  RuleSet r = all_service_rules(
      state_of(service(spec(R"("sessionAffinity":"ClientIP","sessionAffinityConfig":
        {"clientIP":{"timeoutSeconds":60}},)")),
               slice(kTwo)),
      config());
  CHECK(chain_of(r, "nat", "K-SVC").find("-m recent --rcheck --seconds 60 --reap --name K-SEP") !=
        std::string::npos);
  CHECK(chain_of(r, "nat", "K-SEP").find("-p tcp -m recent --set --name K-SEP") !=
        std::string::npos);
}

// In table nat, as where endpoints are told: the two tables never change at once.
TEST_CASE("a service without endpoints refuses") {
  RuleSet r =
      all_service_rules(state_of(service(spec(R"("externalIPs":["192.0.2.9"],)")), ""), config());
  CHECK(chain_of(r, "nat", "K-SERVICES") ==
        "-A K-SERVICES -d 10.43.1.1/32 -p tcp -m tcp --dport 80 -m comment --comment "
        "\"default/web:http has no endpoints\" -j K-REJECT\n"
        "-A K-SERVICES -d 192.0.2.9/32 -p tcp -m tcp --dport 80 -m comment --comment "
        "\"default/web:http has no endpoints\" -j K-REJECT\n"
        "-A K-SERVICES -m comment --comment \"service node ports\" -m addrtype --dst-type LOCAL "
        "-j K-NODEPORTS\n");
  CHECK(chain_of(r, "nat", "K-NODEPORTS") ==
        "-A K-NODEPORTS -p tcp -m tcp --dport 30080 -m comment --comment \"default/web:http has no "
        "endpoints\" -j K-REJECT\n");
  CHECK(chain_of(r, "nat", "K-SVC").empty());
  RuleSet served = all_service_rules(
      state_of(service(spec(R"("externalIPs":["192.0.2.9"],)")), slice(kTwo)), config());
  CHECK(r.tables["filter"].chains == served.tables["filter"].chains);
}

TEST_CASE("policy Local keeps to this node") {
  auto state = state_of(service(spec(R"("externalTrafficPolicy":"Local",
      "internalTrafficPolicy":"Local",)")),
                        slice(kTwo));
  RuleSet r = all_service_rules(state, config());
  CHECK(chain_of(r, "nat", "K-SVL") ==
        "-A K-SVL ! -s 10.42.0.0/16 -d 10.43.1.1/32 -p tcp -m tcp --dport 80 -j K-MARK-MASQ\n"
        "-A K-SVL -m comment --comment \"default/web:http -> 10.42.0.5:8080\" -j K-SEP\n");
  CHECK(chain_of(r, "nat", "K-EXT") ==
        "-A K-EXT -s 10.42.0.0/16 -m comment --comment \"default/web:http from pods\" -j K-SVC\n"
        "-A K-EXT -m comment --comment \"default/web:http from this node\" -m addrtype --src-type "
        "LOCAL -j K-MARK-MASQ\n"
        "-A K-EXT -m comment --comment \"default/web:http from this node\" -m addrtype --src-type "
        "LOCAL -j K-SVC\n"
        "-A K-EXT -j K-SVL\n");
  ServiceRulesConfig elsewhere = config();
  elsewhere.node_name = "n3";
  r = all_service_rules(state, elsewhere);
  CHECK(chain_of(r, "nat", "K-SERVICES").find("has no local endpoints\" -j K-DROP") !=
        std::string::npos);
  // Those of others are for pods and for the node itself.
  std::string outside = chain_of(r, "nat", "K-EXT");
  CHECK(outside.find("from pods\" -j K-SVC\n") != std::string::npos);
  CHECK(outside.find("K-SVL") == std::string::npos);
  CHECK(outside.ends_with("has no local endpoints\" -j K-DROP\n"));
}

TEST_CASE("load balancer addresses, with source ranges") {
  std::string status = R"({"loadBalancer":{"ingress":[{"ip":"192.0.2.7"}]}})";
  auto make = [&](const char* more) {
    std::string s = spec(std::string(R"("type":"LoadBalancer",)") + more);
    return all_service_rules(state_of(service(s, status), slice(kTwo)), config());
  };
  CHECK(chain_of(make(""), "nat", "K-SERVICES").find("load balancer IP\" -j K-EXT") !=
        std::string::npos);
  RuleSet r = make(R"("loadBalancerSourceRanges":["192.0.2.128/25"],)");
  CHECK(chain_of(r, "nat", "K-FW") == "-A K-FW -s 192.0.2.128/25 -j K-EXT\n-A K-FW -j K-DROP\n");
}

TEST_CASE("what has no rules: headless, external names, what knarr answers itself") {
  for (const char* s : {R"({"clusterIP":"None","ports":[{"name":"http","port":80}]})",
                        R"({"type":"ExternalName","externalName":"example.com"})",
                        R"({"clusterIP":"10.43.0.10","ports":[{"name":"http","port":80}]})",
                        R"({"clusterIP":"10.43.0.10 -j ACCEPT","ports":[{"port":80}]})",
                        R"({"clusterIP":"fd00::1","ports":[{"name":"http","port":80}]})"}) {
    INFO(s);
    RuleSet r = all_service_rules(state_of(service(s), slice(kTwo)), config());
    CHECK(chain_of(r, "nat", "K-SVC").empty());
    CHECK(chain_of(r, "nat", "K-SERVICES").find("10.4") == std::string::npos);
  }
}

TEST_CASE("endpoints: terminating ones serve when no other does; each is counted once") {
  struct Case {
    const char* endpoints;
    std::vector<std::string> expected;
  };
  for (const Case& c : std::vector<Case>{
           {R"([{"addresses":["10.0.0.1"],"conditions":{}}])", {"10.0.0.1"}},
           {R"([{"addresses":["10.0.0.1"],"conditions":{"ready":false,"serving":true,
               "terminating":true}}])",
            {"10.0.0.1"}},
           {R"([{"addresses":["10.0.0.1"],"conditions":{"ready":false,"serving":true,
               "terminating":true}},{"addresses":["10.0.0.2"],"conditions":{"ready":true}}])",
            {"10.0.0.2"}},
           {R"([{"addresses":["10.0.0.1"],"conditions":{"ready":false,"serving":false,
               "terminating":true}}])",
            {}},
           {R"([{"addresses":["10.0.0.1"],"conditions":{"ready":false,"serving":true}}])", {}},
           {R"([{"addresses":["10.0.0.1"]},{"addresses":["10.0.0.1"]}])", {"10.0.0.1"}},
       }) {
    INFO(c.endpoints);
    ServiceState state = state_of(service(spec("")), slice(c.endpoints));
    const ServiceView& view = state.services.begin()->second;
    std::vector<std::string> got;
    for (const Backend& b :
         choose_backends(state, view.name, view.ports[0], {"n1", ""}, false).cluster) {
      got.push_back(b.address);
      CHECK(b.port == 8080);
    }
    CHECK(got == c.expected);
  }
}

TEST_CASE("hints of endpoints keep traffic near, where all have one and one leads here") {
  auto endpoint = [](const char* ip, const char* hints, bool ready = true) {
    return R"({"addresses":[")" + std::string(ip) + R"("],"conditions":{"ready":)" +
           (ready ? "true" : "false") + R"(},"hints":)" + hints + "}";
  };
  auto used = [](const std::vector<std::string>& endpoints, const Locality& here) {
    std::string list;
    for (const std::string& e : endpoints) list += (list.empty() ? "" : ",") + e;
    ServiceState state = state_of(service(spec("")), slice("[" + list + "]"));
    const ServiceView& view = state.services.begin()->second;
    std::string out;
    for (const Backend& b : choose_backends(state, view.name, view.ports[0], here, false).cluster) {
      out += b.address.substr(b.address.rfind('.') + 1) + " ";
    }
    return out;
  };
  std::string a1 =
      endpoint("10.0.0.1", R"({"forZones":[{"name":"a"}],"forNodes":[{"name":"n1"}]})");
  std::string a2 =
      endpoint("10.0.0.2", R"({"forZones":[{"name":"a"}],"forNodes":[{"name":"n2"}]})");
  std::string b3 = endpoint("10.0.0.3", R"({"forZones":[{"name":"b"}]})");
  std::string none = endpoint("10.0.0.4", "{}");
  std::string unready = endpoint("10.0.0.5", "{}", false);
  CHECK(used({a1, a2}, {"n1", "a"}) == "1 ");
  CHECK(used({a1, a2}, {"n3", "a"}) == "1 2 ");
  CHECK(used({a1, a2, b3}, {"n1", "a"}) == "1 2 ");
  CHECK(used({a1, a2, b3}, {"n1", "b"}) == "3 ");
  CHECK(used({a1, a2, b3}, {"n1", "c"}) == "1 2 3 ");
  CHECK(used({a1, a2, b3}, {"n1", ""}) == "1 2 3 ");
  CHECK(used({a1, b3, none}, {"n1", "a"}) == "1 3 4 ");
  CHECK(used({a1, b3, unready}, {"n1", "a"}) == "1 ");
}

TEST_CASE("a load balancer's address that is this node's outside one") {
  ServiceRulesConfig c = config();
  c.node = parse_proxy_node(*json::parse(R"({"metadata":{"labels":
      {"topology.kubernetes.io/zone":"z"}},"status":{"addresses":[
      {"type":"ExternalIP","address":"198.51.100.1"},{"type":"InternalIP","address":"192.0.2.1"}]}})"));
  CHECK(c.node.zone == "z");
  auto state = state_of(service(spec(R"("type":"LoadBalancer",)"),
                                R"({"loadBalancer":{"ingress":[{"ip":"198.51.100.1"}]}})"),
                        slice(kTwo));
  std::string rules = chain_of(all_service_rules(state, c), "nat", "K-SERVICES");
  CHECK(rules.find("-d 198.51.100.1/32") != std::string::npos);
  CHECK(rules.find("-d 192.0.2.1/32") != std::string::npos);
}

TEST_CASE("many cluster IPs are found by their network, and one that changes costs little") {
  ServiceState state;
  for (int i = 0; i < 400; i++) {
    ServiceView s = parse_service(*json::parse(service(spec(""))));
    s.name.name = "s" + std::to_string(i);
    s.cluster_ips = {fmt::format("10.43.{}.{}", i / 100, i % 100 + 1)};
    state.services[s.name] = s;
    SliceView e = parse_slice(*json::parse(slice(kTwo)));
    state.slices[s.name]["x"] = e;
  }
  RuleSet before = all_service_rules(state, config());
  CHECK(chain_of(before, "nat", "K-SERVICES") ==
        "-A K-SERVICES -d 10.43.0.0/24 -j K-NET-0A2B00\n"
        "-A K-SERVICES -d 10.43.1.0/24 -j K-NET-0A2B01\n"
        "-A K-SERVICES -d 10.43.2.0/24 -j K-NET-0A2B02\n"
        "-A K-SERVICES -d 10.43.3.0/24 -j K-NET-0A2B03\n"
        "-A K-SERVICES -m comment --comment \"service node ports\" -m addrtype --dst-type LOCAL "
        "-j K-NODEPORTS\n");
  const std::string& net = before.tables["nat"].chains["K-NET-0A2B02"];
  CHECK(std::count(net.begin(), net.end(), '\n') == 100);
  KernelRules kernel = after_transaction(before, {}, false);
  state.services.erase({"default", "s250"});
  std::string text = transaction(all_service_rules(state, config()), kernel, false);
  CHECK(text.find("K-SERVICES") == std::string::npos);
  CHECK(text.find("K-NET-0A2B01") == std::string::npos);
  CHECK(text.find(":K-NET-0A2B02 - [0:0]\n") != std::string::npos);
}
