#include "agent/proxy/service_rules.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "agent/proxy/service_endpoints.h"
#include "api/ip.h"
#include "api/ip_list.h"
#include "base/format.h"

namespace knarr::agent {

namespace {

// What stands where no backend can be chosen, and why.
struct Refusal {
  std::string why;
  const char* chain = nullptr;  // null: there are backends
};

class Renderer {
 public:
  Renderer(const ServiceState& state, const ServiceRulesConfig& config, bool by_net)
      : state_(state),
        config_(config),
        cluster_cidr_(api::of_family(config.cluster_cidr, config.v6)),
        by_net_(by_net) {}

  RuleSet first() {
    frame();
    if (by_net_) add_nets();
    return std::move(rules_);
  }

  RuleSet of_service(const ServiceView& service) {
    for (const ServicePort& port : service.ports) add_port(service, port);
    return std::move(rules_);
  }

  // An address of this node is a node port's only when no service has it.
  RuleSet last() {
    nat(chain("SERVICES"),
        comment("service node ports") + " -m addrtype --dst-type LOCAL -j " + chain("NODEPORTS"));
    return std::move(rules_);
  }

 private:
  struct PortContext {
    const ServiceView& service;
    const ServicePort& port;
    std::string id;     // "default/web:http"
    std::string match;  // "-p tcp -m tcp --dport 80"
    Backends backends;
    std::string cluster_chain, local_chain, external_chain;
    bool cluster_made = false, local_made = false;
  };

  bool fits(const std::string& address) const { return api::is_v6(address) == config_.v6; }
  // "10.43.0.1/32", "fd00::1/128"
  std::string host(const std::string& ip) const { return ip + (config_.v6 ? "/128" : "/32"); }
  const char* host_mask() const {
    return config_.v6 ? "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" : "255.255.255.255";
  }
  static std::string target(const Backend& b) {
    bool v6 = api::is_v6(b.address);
    return v6 ? fmt::format("[{}]:{}", b.address, b.port) : fmt::format("{}:{}", b.address, b.port);
  }

  std::string chain(const char* name) const { return config_.prefix + "-" + name; }
  void nat(const std::string& chain, const std::string& rule) { rules_.rule("nat", chain, rule); }
  void filter(const std::string& chain, const std::string& rule) {
    rules_.rule("filter", chain, rule);
  }

  // The chains that are always there, and how packets come to them.
  void frame() {
    for (const char* name : {"SERVICES", "NODEPORTS"}) rules_.chain("nat", chain(name));
    std::string portals = comment("knarr services") + " -j " + chain("SERVICES");
    rules_.jump("nat", "PREROUTING", portals);
    rules_.jump("nat", "OUTPUT", portals);
    rules_.jump("filter", "FORWARD", comment("knarr forwarding") + " -j " + chain("FORWARD"));
    filter(chain("FORWARD"), "-m conntrack --ctstate INVALID -j DROP");
    filter(chain("FORWARD"), comment("knarr forwarding") + " -m mark --mark " +
                                 config_.masquerade_mark + " -j ACCEPT");
    filter(chain("FORWARD"), "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT");
  }

  void add_port(const ServiceView& service, const ServicePort& port) {
    if (service.headless) return;
    const char* protocol = protocol_name(port.protocol);
    PortContext c{service, port, service.name.text(), "", {}, "", "", ""};
    if (!port.name.empty()) c.id += ":" + port.name;
    c.match = fmt::format("-p {0} -m {0} --dport {1}", protocol, port.port);
    c.backends = choose_backends(state_, service.name, port, {config_.node_name, config_.node.zone},
                                 config_.v6);
    std::string key = c.id + "/" + protocol;
    c.cluster_chain = hashed_chain(config_.prefix, "SVC", key);
    c.local_chain = hashed_chain(config_.prefix, "SVL", key);
    c.external_chain = hashed_chain(config_.prefix, "EXT", key);
    add_cluster_ips(c);
    add_outside(c);
  }

  Refusal refusal(const PortContext& c, bool local) const {
    if (c.backends.cluster.empty()) return {c.id + " has no endpoints", "REJECT"};
    if (local && c.backends.local.empty()) return {c.id + " has no local endpoints", "DROP"};
    return {};
  }

  void add_cluster_ips(PortContext& c) {
    Refusal refused = refusal(c, c.service.internal_local);
    for (const std::string& ip : c.service.cluster_ips) {
      if (!fits(ip) || config_.answered_here.count(ip) > 0) continue;
      std::string to = fmt::format("-d {} {}", host(ip), c.match);
      if (refused.chain != nullptr) {
        nat(services_chain(ip),
            fmt::format("{} {} -j {}", to, comment(refused.why), chain(refused.chain)));
        continue;
      }
      const std::string& inside = inside_chain(c);
      if (!cluster_cidr_.empty()) {
        // In front of the backends: inside_chain() made the chain with those.
        prepend(inside, fmt::format("! -s {} {} -j {}", cluster_cidr_, to, chain("MARK-MASQ")));
      }
      nat(services_chain(ip),
          fmt::format("{} {} -j {}", to, comment(c.id + " cluster IP"), inside));
    }
  }

  // Where the rule for a cluster IP stands.
  std::string services_chain(const std::string& ip) {
    auto address = api::IpAddress::parse(ip);
    if (!by_net_ || !address) return chain("SERVICES");
    return net_chain(*address);
  }

  std::string net_chain(const api::IpAddress& address) const {
    const auto& b = address.bytes;
    return config_.v6 ? hashed_chain(config_.prefix, "NET", net_of(address).text())
                      : fmt::format("{}-NET-{:02X}{:02X}{:02X}", config_.prefix, b[0], b[1], b[2]);
  }

  static api::Cidr net_of(const api::IpAddress& address) {
    api::Cidr range{address, address.bits() - 8};
    range.address = range.network();
    return range;
  }

  void add_nets() {
    std::set<std::array<uint8_t, 16>> known;
    for (const auto& [name, service] : state_.services) {
      for (const std::string& ip : service.cluster_ips) {
        auto address = api::IpAddress::parse(ip);
        if (!address || address->v6 != config_.v6) continue;
        auto net = address->bytes;
        net[config_.v6 ? 15 : 3] = 0;
        if (!known.insert(net).second) continue;
        rules_.chain("nat", net_chain(*address));
        nat(chain("SERVICES"),
            fmt::format("-d {} -j {}", net_of(*address).text(), net_chain(*address)));
      }
    }
  }

  void add_outside(PortContext& c) {
    std::vector<std::string> addresses;
    for (const std::string& ip : c.service.external_ips) {
      if (fits(ip)) addresses.push_back(ip);
    }
    for (const std::string& ip : balancer_ips(c.service)) addresses.push_back(ip);
    if (addresses.empty() && c.port.node_port == 0) return;
    Refusal refused = refusal(c, c.service.external_local);
    if (c.backends.cluster.empty()) return refuse_outside(c, addresses, refused);
    add_external_chain(c, refused);
    for (const std::string& ip : c.service.external_ips) {
      if (!fits(ip)) continue;
      nat(chain("SERVICES"), fmt::format("-d {} {} {} -j {}", host(ip), c.match,
                                         comment(c.id + " external IP"), c.external_chain));
    }
    add_load_balancer(c);
    if (c.port.node_port != 0) {
      nat(chain("NODEPORTS"),
          fmt::format("{} {} -j {}", node_match(c), comment(c.id), c.external_chain));
    }
  }

  static std::string node_match(const PortContext& c) {
    return fmt::format("-p {0} -m {0} --dport {1}", protocol_name(c.port.protocol),
                       c.port.node_port);
  }

  void refuse_outside(const PortContext& c, const std::vector<std::string>& addresses,
                      const Refusal& refused) {
    std::string how = comment(refused.why) + " -j " + chain(refused.chain);
    for (const std::string& ip : addresses) {
      nat(chain("SERVICES"), fmt::format("-d {} {} {}", host(ip), c.match, how));
    }
    if (c.port.node_port != 0) nat(chain("NODEPORTS"), node_match(c) + " " + how);
  }

  std::set<std::string> balancer_ips(const ServiceView& service) const {
    std::set<std::string> out;
    for (const std::string& ip : service.ingress_ips) {
      if (!fits(ip)) continue;
      out.insert(ip);
      auto inside = config_.node.inside.find(ip);
      if (inside != config_.node.inside.end()) out.insert(inside->second);
    }
    return out;
  }

  // With source ranges a load balancer's address leads through a chain that lets the ranges pass.
  void add_load_balancer(const PortContext& c) {
    std::vector<std::string> ranges;
    for (const std::string& range : c.service.source_ranges) {
      if (fits(range)) ranges.push_back(range);
    }
    bool limited =
        !c.service.source_ranges.empty() &&
        std::find(ranges.begin(), ranges.end(), config_.v6 ? "::/0" : "0.0.0.0/0") == ranges.end();
    std::string firewall =
        hashed_chain(config_.prefix, "FW", c.id + "/" + protocol_name(c.port.protocol));
    bool made = false;
    for (const std::string& ip : balancer_ips(c.service)) {
      std::string to =
          fmt::format("-d {} {} {}", host(ip), c.match, comment(c.id + " load balancer IP"));
      nat(chain("SERVICES"), to + " -j " + (limited ? firewall : c.external_chain));
      if (!limited || std::exchange(made, true)) continue;
      rules_.chain("nat", firewall);
      for (const std::string& range : ranges) {
        nat(firewall, fmt::format("-s {} -j {}", range, c.external_chain));
      }
      nat(firewall, "-j " + chain("DROP"));
    }
  }

  // From outside: policy Cluster may leave this node again, so the answer has to come back through
  // it. Policy Local keeps the client's address; pods and this node itself have all endpoints, also
  // where there is none for others.
  void add_external_chain(PortContext& c, const Refusal& refused) {
    rules_.chain("nat", c.external_chain);
    if (!c.service.external_local) {
      nat(c.external_chain, comment(c.id + " from outside") + " -j " + chain("MARK-MASQ"));
      nat(c.external_chain, "-j " + all_backends(c));
      return;
    }
    if (!cluster_cidr_.empty()) {
      nat(c.external_chain, fmt::format("-s {} {} -j {}", cluster_cidr_,
                                        comment(c.id + " from pods"), all_backends(c)));
    }
    for (const std::string& target : {chain("MARK-MASQ"), all_backends(c)}) {
      nat(c.external_chain, fmt::format("{} -m addrtype --src-type LOCAL -j {}",
                                        comment(c.id + " from this node"), target));
    }
    nat(c.external_chain, refused.chain == nullptr
                              ? "-j " + local_backends(c)
                              : comment(refused.why) + " -j " + chain(refused.chain));
  }

  const std::string& inside_chain(PortContext& c) {
    return c.service.internal_local ? local_backends(c) : all_backends(c);
  }
  const std::string& all_backends(PortContext& c) {
    if (!c.cluster_made) add_backends(c, c.cluster_chain, c.backends.cluster);
    c.cluster_made = true;
    return c.cluster_chain;
  }
  const std::string& local_backends(PortContext& c) {
    if (!c.local_made) add_backends(c, c.local_chain, c.backends.local);
    c.local_made = true;
    return c.local_chain;
  }

  std::string endpoint_chain(const PortContext& c, const Backend& b) const {
    return hashed_chain(
        config_.prefix, "SEP",
        fmt::format("{}/{}/{}:{}", c.id, protocol_name(c.port.protocol), b.address, b.port));
  }

  // A client that has been sent to an endpoint before goes there again; else chance decides: of n
  // that are left each rule takes one n-th.
  void add_backends(const PortContext& c, const std::string& chain,
                    const std::vector<Backend>& backends) {
    rules_.chain("nat", chain);
    for (const Backend& b : backends) {
      std::string name = endpoint_chain(c, b);
      add_endpoint(c, b, name);
      if (c.service.affinity_seconds == 0) continue;
      nat(chain, fmt::format("-m recent --rcheck --seconds {0} --reap --name {1} --mask {2} "
                             "--rsource -j {1}",
                             c.service.affinity_seconds, name, host_mask()));
    }
    for (size_t i = 0; i < backends.size(); i++) {
      size_t left = backends.size() - i;
      std::string name = endpoint_chain(c, backends[i]);
      std::string chance = left == 1 ? ""
                                     : fmt::format(
                                           "-m statistic --mode random --probability "
                                           "{:.10f} ",
                                           1.0 / static_cast<double>(left));
      nat(chain, fmt::format("{}{}-j {}",
                             comment(fmt::format("{} -> {}", c.id, target(backends[i]))) + " ",
                             chance, name));
    }
  }

  // A pod that reaches itself through its service would answer itself past us: masqueraded.
  void add_endpoint(const PortContext& c, const Backend& b, const std::string& name) {
    if (rules_.tables["nat"].chains.count(name) > 0) return;
    nat(name, fmt::format("-s {} -j {}", host(b.address), chain("MARK-MASQ")));
    std::string remember =
        c.service.affinity_seconds == 0
            ? ""
            : fmt::format(" -m recent --set --name {} --mask {} --rsource", name, host_mask());
    nat(name, fmt::format("-p {0}{1} -m {0} -j DNAT --to-destination {2}",
                          protocol_name(c.port.protocol), remember, target(b)));
  }

  void prepend(const std::string& chain, const std::string& rule) {
    std::string& rules = rules_.tables["nat"].chains[chain];
    rules.insert(0, fmt::format("-A {} {}\n", chain, rule));
  }

  const ServiceState& state_;
  const ServiceRulesConfig& config_;
  std::string cluster_cidr_;
  const bool by_net_;
  RuleSet rules_;
};

std::vector<std::string> addresses_of(const json::Value& node, std::string_view type, bool v6) {
  std::vector<std::string> out;
  for (const json::Value& address : node["status"]["addresses"].elements()) {
    auto ip = api::IpAddress::parse(address["address"].as_string());
    if (ip && ip->v6 == v6 && address["type"].as_string() == type) out.push_back(ip->text());
  }
  return out;
}

}  // namespace

ProxyNode parse_proxy_node(const json::Value& node) {
  ProxyNode out;
  out.zone = node["metadata"]["labels"]["topology.kubernetes.io/zone"].text();
  for (bool v6 : {false, true}) {
    std::vector<std::string> inside = addresses_of(node, "InternalIP", v6);
    if (inside.empty()) continue;
    for (const std::string& ip : addresses_of(node, "ExternalIP", v6)) out.inside[ip] = inside[0];
  }
  return out;
}

bool by_net(const ServiceState& state) {
  size_t addresses = 0;
  for (const auto& [name, service] : state.services) addresses += service.cluster_ips.size();
  return addresses > kMostInOneChain;
}

RuleSet first_rules(const ServiceState& state, const ServiceRulesConfig& config, bool by_net) {
  return Renderer(state, config, by_net).first();
}

RuleSet rules_of_service(const ServiceState& state, const ServiceRulesConfig& config, bool by_net,
                         const NamespacedName& service) {
  auto at = state.services.find(service);
  if (at == state.services.end()) return {};
  return Renderer(state, config, by_net).of_service(at->second);
}

RuleSet last_rules(const ServiceRulesConfig& config) {
  static const ServiceState kNone;
  return Renderer(kNone, config, false).last();
}

}  // namespace knarr::agent
