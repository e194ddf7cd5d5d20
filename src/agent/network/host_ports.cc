#include "agent/network/host_ports.h"

#include "api/ip.h"
#include "base/format.h"

namespace knarr::agent {

namespace {

bool is_port(int64_t n) { return n > 0 && n <= 65535; }

}  // namespace

std::vector<HostPort> host_ports_of(const Pod& pod) {
  std::vector<HostPort> out;
  for (const ContainerSpec& container : pod.containers()) {
    for (const json::Value& port : (*container.spec)["ports"].elements()) {
      auto protocol = parse_protocol(port["protocol"].as_string());
      int64_t host = port["hostPort"].as_int(), inside = port["containerPort"].as_int();
      if (!protocol || !is_port(host) || !is_port(inside)) continue;
      auto ip = api::IpAddress::parse(port["hostIP"].as_string());
      if (ip && ip->v6 && !ip->is_unspecified()) continue;  // pods have IPv4 addresses
      out.push_back({*protocol, ip && !ip->is_unspecified() ? ip->text() : "",
                     static_cast<uint16_t>(host), static_cast<uint16_t>(inside)});
    }
  }
  return out;
}

// A pod that reaches itself through the host, and the host that comes as 127.0.0.1, are
// masqueraded: their answers have to come back this way.
RuleSet host_port_rules(const std::map<std::string, PublishedPod>& pods,
                        const std::string& prefix) {
  RuleSet rules;
  std::string all = prefix + "-HOSTPORTS";
  std::string masquerade = prefix + "-MARK-MASQ";
  rules.chain("nat", all);
  std::string jump = comment("knarr host ports") + " -m addrtype --dst-type LOCAL -j " + all;
  rules.jump("nat", "PREROUTING", jump);
  rules.jump("nat", "OUTPUT", jump);
  for (const auto& [sandbox, pod] : pods) {
    if (pod.ports.empty()) continue;
    std::string chain = hashed_chain(prefix, "HP", sandbox);
    rules.rule("nat", chain, fmt::format("-s {}/32 -j {}", pod.address, masquerade));
    rules.rule("nat", chain, "-s 127.0.0.0/8 -j " + masquerade);
    for (const HostPort& port : pod.ports) {
      std::string match =
          fmt::format("-p {0} -m {0} --dport {1}", protocol_name(port.protocol), port.host_port);
      std::string to =
          port.host_ip.empty() ? match : fmt::format("-d {}/32 {}", port.host_ip, match);
      rules.rule("nat", all, fmt::format("{} {} -j {}", to, comment(sandbox), chain));
      rules.rule(
          "nat", chain,
          fmt::format("{} -j DNAT --to-destination {}:{}", to, pod.address, port.container_port));
    }
  }
  return rules;
}

}  // namespace knarr::agent
