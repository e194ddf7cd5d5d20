#include "agent/network/host_ports.h"

#include <catch2/catch.hpp>

#include "agent/network/bridge_network.h"

using namespace knarr;
using namespace knarr::agent;

namespace {

PodRef pod_with(const std::string& ports) {
  auto object = std::make_shared<Object>();
  object->name = {"default", "p"};
  object->json = R"({"metadata":{"name":"p","namespace":"default","uid":"u"},"spec":{"containers":
      [{"name":"c","image":"i","ports":)" +
                 ports + "}]}}";
  return *Pod::parse(object);
}

}  // namespace

TEST_CASE("host ports of a pod") {
  auto ports =
      host_ports_of(*pod_with(R"([{"containerPort":80},{"containerPort":80,"hostPort":8080},
      {"containerPort":53,"hostPort":53,"protocol":"UDP","hostIP":"127.0.0.1"},
      {"containerPort":81,"hostPort":81,"hostIP":"0.0.0.0"},
      {"containerPort":82,"hostPort":82,"hostIP":"fd00::1"}])"));
  REQUIRE(ports.size() == 4);
  CHECK(ports[0].host_port == 8080);
  CHECK(ports[0].host_ip.empty());
  CHECK(ports[1].protocol == Protocol::kUdp);
  CHECK(ports[1].host_ip == "127.0.0.1");
  CHECK(ports[2].host_ip.empty());
  CHECK(ports[3].host_ip == "fd00::1");
}

TEST_CASE("rules of host ports") {
  RuleSet rules = host_port_rules(
      {{"box", {"10.42.0.5", {{Protocol::kTcp, "", 8080, 80}}}}, {"none", {"10.42.0.6", {}}}}, "K");
  const auto& nat = rules.tables.at("nat");
  REQUIRE(nat.chains.size() == 2);
  std::string chain = hashed_chain("K", "HP", "box");
  CHECK(nat.chains.at("K-HOSTPORTS") ==
        "-A K-HOSTPORTS -p tcp -m tcp --dport 8080 -m comment --comment \"box\" -j " + chain +
            "\n");
  CHECK(nat.chains.at(chain) == "-A " + chain + " -s 10.42.0.5/32 -j K-MARK-MASQ\n-A " + chain +
                                    " -s 127.0.0.0/8 -j K-MARK-MASQ\n-A " + chain +
                                    " -p tcp -m tcp --dport 8080 -j DNAT --to-destination "
                                    "10.42.0.5:80\n");
  CHECK(nat.jumps.size() == 2);
}

TEST_CASE("rules that all pods need") {
  BridgeOptions options;
  options.bridge = "br";
  options.host_addresses = {"10.43.0.10"};
  RuleSet rules = network_rules(options, "10.42.0.0/24", "K");
  CHECK(rules.tables["nat"].chains["K-EGRESS"] ==
        "-A K-EGRESS -d 10.42.0.0/16 -j RETURN\n"
        "-A K-EGRESS ! -d 224.0.0.0/4 -j MASQUERADE --random-fully\n");
  CHECK(rules.tables["filter"].chains["K-PODS"] ==
        "-A K-PODS -i br -j ACCEPT\n-A K-PODS -o br -j ACCEPT\n");
}
