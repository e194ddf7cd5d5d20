#include "agent/network/host_ports.h"

#include "api/ip.h"
#include "api/ip_list.h"
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
      out.push_back({*protocol, ip && !ip->is_unspecified() ? ip->text() : "",
                     static_cast<uint16_t>(host), static_cast<uint16_t>(inside)});
    }
  }
  return out;
}

// A pod that reaches itself through the host, and the host that comes as 127.0.0.1, are
// masqueraded: their answers have to come back this way.
RuleSet host_port_rules(const std::map<std::string, PublishedPod>& pods, const std::string& prefix,
                        bool v6) {
  RuleSet rules;
  std::string all = prefix + "-HOSTPORTS";
  std::string masquerade = prefix + "-MARK-MASQ";
  rules.chain("nat", all);
  std::string jump = comment("knarr host ports") + " -m addrtype --dst-type LOCAL -j " + all;
  rules.jump("nat", "PREROUTING", jump);
  rules.jump("nat", "OUTPUT", jump);
  const char* one = v6 ? "/128" : "/32";
  for (const auto& [sandbox, pod] : pods) {
    std::string address = api::of_family(pod.addresses, v6);
    if (pod.ports.empty() || address.empty()) continue;
    std::string chain = hashed_chain(prefix, "HP", sandbox);
    rules.rule("nat", chain, fmt::format("-s {}{} -j {}", address, one, masquerade));
    if (!v6) rules.rule("nat", chain, "-s 127.0.0.0/8 -j " + masquerade);
    std::string target = v6 ? "[" + address + "]" : address;
    for (const HostPort& port : pod.ports) {
      if (!port.host_ip.empty() && api::is_v6(port.host_ip) != v6) continue;
      std::string match =
          fmt::format("-p {0} -m {0} --dport {1}", protocol_name(port.protocol), port.host_port);
      std::string to =
          port.host_ip.empty() ? match : fmt::format("-d {}{} {}", port.host_ip, one, match);
      rules.rule("nat", all, fmt::format("{} {} -j {}", to, comment(sandbox), chain));
      rules.rule("nat", chain,
                 fmt::format("{} -j DNAT --to-destination {}:{}", to, target, port.container_port));
    }
  }
  return rules;
}

}  // namespace knarr::agent
