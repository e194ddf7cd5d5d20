#include "agent/policy/policy_rules.h"

#include <set>

#include "base/format.h"

namespace knarr::agent {

namespace {

// What differs between what a pod gets and what it sends.
struct Direction {
  bool ingress;
  const char* pod_kind;
  const char* policy_kind;
  const char* peers_kind;
  const char* block_kind;
  const char* pod_side;   // how the pod's address is matched
  const char* peer_side;  // and the other's
};
constexpr Direction kIngress{true, "PI", "NPI", "PS", "PBS", "-d", "-s"};
constexpr Direction kEgress{false, "PE", "NPE", "PD", "PBD", "-s", "-d"};

bool limits(const PolicyView& policy, const Direction& d) {
  return d.ingress ? policy.limits_ingress : policy.limits_egress;
}

bool selects(const NamespacedName& policy, const PolicyView& view, const NamespacedName& name,
             const PolicyPod& pod) {
  return policy.ns == name.ns && view.pods.matches(pod.labels);
}

uint16_t number_of(const PolicyPod& pod, const PolicyPort& port) {
  for (const NamedPort& p : pod.ports) {
    if (p.name == port.name && p.protocol == port.protocol) return p.number;
  }
  return 0;
}

std::string port_match(Protocol protocol, uint16_t first, uint16_t last) {
  std::string out = fmt::format("-p {0} -m {0}", protocol_name(protocol));
  if (first == 0) return fmt::format("-p {}", protocol_name(protocol));
  out += fmt::format(" --dport {}", first);
  if (last > first) out += fmt::format(":{}", last);
  return out;
}

class Renderer {
 public:
  Renderer(const PolicyState& state, const PolicyRulesConfig& config)
      : state_(state), config_(config), bit_(config.mark.substr(config.mark.find('/') + 1)) {}

  RuleSet render() {
    for (const auto& [name, pod] : state_.pods) {
      if (pod.node != config_.node_name) continue;
      for (const Direction* d : {&kEgress, &kIngress}) add_pod(name, pod, *d);
    }
    if (!has(top_chain())) return {};
    chains()[top_chain()].insert(
        0,
        fmt::format("-A {} -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN\n", top_chain()));
    // A bridge shows rules what it carries: how neighbours find each other is no connection.
    for (int type : {135, 136}) {
      if (!config_.v6) break;
      chains()[top_chain()].insert(
          0, fmt::format("-A {} -p ipv6-icmp -m icmp6 --icmpv6-type {} -j RETURN\n", top_chain(),
                         type));
    }
    rule(top_chain(), clear());
    rules_.jump("filter", "FORWARD", comment("knarr network policies") + " -j " + top_chain());
    return std::move(rules_);
  }

 private:
  std::string top_chain() const { return config_.prefix + "-POLICY"; }
  std::string allow() const { return "-j MARK --set-xmark " + config_.mark; }
  std::string clear() const { return "-j MARK --set-xmark 0x0/" + bit_; }
  void rule(const std::string& chain, const std::string& text) {
    rules_.rule("filter", chain, text);
  }
  std::string hashed(const char* kind, const std::string& text) const {
    return hashed_chain(config_.prefix, kind, text);
  }
  std::map<std::string, std::string>& chains() { return rules_.tables["filter"].chains; }
  bool has(const std::string& chain) { return chains().count(chain) > 0; }
  // False when the chain was there.
  bool make(const std::string& chain) { return chains().try_emplace(chain).second; }
  bool fits(const api::IpAddress& ip) const { return ip.v6 == config_.v6; }
  static std::string host(const api::IpAddress& ip) {
    return fmt::format("{}/{}", ip.text(), ip.bits());
  }

  void add_pod(const NamespacedName& name, const PolicyPod& pod, const Direction& d) {
    std::vector<const std::pair<const NamespacedName, PolicyView>*> mine;
    for (auto it = state_.policies.lower_bound({name.ns, ""});
         it != state_.policies.end() && it->first.ns == name.ns; ++it) {
      if (limits(it->second, d) && selects(it->first, it->second, name, pod)) mine.push_back(&*it);
    }
    if (mine.empty()) return;
    std::string chain = hashed(d.pod_kind, name.text());
    for (const api::IpAddress& ip : pod.addresses) {
      if (!fits(ip)) continue;
      rule(top_chain(),
           fmt::format("{} {} {} -j {}", d.pod_side, host(ip), comment(name.text()), chain));
      // No pod is kept from itself, by way of a service.
      rule(chain, fmt::format("{} {} -j RETURN", d.peer_side, host(ip)));
    }
    if (!has(chain)) return;  // no address yet
    rule(chain, clear());
    for (const auto* policy : mine) {
      rule(chain, fmt::format("{} -j {}", comment(policy->first.text()),
                              policy_chain(policy->first, policy->second, pod, d)));
    }
    rule(chain, fmt::format("-m mark --mark {} -j RETURN", config_.mark));
    rule(chain, "-j DROP");
  }

  // Pods share a policy's chain, if its named ports have the same numbers for them.
  std::string policy_chain(const NamespacedName& name, const PolicyView& policy,
                           const PolicyPod& pod, const Direction& d) {
    const auto& rules = d.ingress ? policy.ingress : policy.egress;
    std::string key = name.text();
    for (const PolicyRule& r : rules) {
      for (const PolicyPort& port : r.ports) {
        if (d.ingress && !port.name.empty()) key += fmt::format(" {}", number_of(pod, port));
      }
    }
    std::string chain = hashed(d.policy_kind, key);
    if (!make(chain)) return chain;
    for (const PolicyRule& r : rules) add_rule(chain, name.ns, r, pod, d);
    return chain;
  }

  void add_rule(const std::string& chain, const std::string& ns, const PolicyRule& r,
                const PolicyPod& pod, const Direction& d) {
    auto action = [&] { return r.any_peer ? allow() : "-j " + peers_chain(ns, r, d); };
    if (r.any_port) rule(chain, action());
    for (const PolicyPort& port : r.ports) {
      if (!port.name.empty() && !d.ingress) {
        add_named_destinations(chain, ns, r, port);
        continue;
      }
      uint16_t first = port.name.empty() ? port.port : number_of(pod, port);
      if (first == 0 && !port.name.empty()) continue;  // this pod has no such port
      uint16_t last = port.name.empty() ? port.last : first;
      rule(chain, port_match(port.protocol, first, last) + " " + action());
    }
  }

  // What a name means is for each destination to say.
  void add_named_destinations(const std::string& chain, const std::string& ns, const PolicyRule& r,
                              const PolicyPort& port) {
    for (const auto& [name, pod] : state_.pods) {
      uint16_t number = number_of(pod, port);
      if (number == 0 || !(r.any_peer || is_peer(ns, r, name, pod))) continue;
      for (const api::IpAddress& ip : pod.addresses) {
        if (!fits(ip)) continue;
        rule(chain, fmt::format("-d {} {} {}", host(ip), port_match(port.protocol, number, number),
                                allow()));
      }
    }
  }

  bool matches(const std::string& ns, const PolicyPeer& peer, const NamespacedName& name,
               const PolicyPod& pod) const {
    if (peer.is_block || !peer.pods.matches(pod.labels)) return false;
    if (peer.own_namespace) return name.ns == ns;
    auto labels = state_.namespaces.find(name.ns);
    return labels != state_.namespaces.end() && peer.namespaces.matches(labels->second);
  }
  bool is_peer(const std::string& ns, const PolicyRule& r, const NamespacedName& name,
               const PolicyPod& pod) const {
    for (const PolicyPeer& peer : r.peers) {
      if (matches(ns, peer, name, pod)) return true;
    }
    return false;
  }

  std::string peers_chain(const std::string& ns, const PolicyRule& r, const Direction& d) {
    std::string chain = hashed(d.peers_kind, r.peers_text);
    if (!make(chain)) return chain;
    std::set<api::IpAddress> addresses;
    for (const auto& [name, pod] : state_.pods) {
      if (pod.addresses.empty() || !is_peer(ns, r, name, pod)) continue;
      addresses.insert(pod.addresses.begin(), pod.addresses.end());
    }
    for (const api::IpAddress& ip : addresses) {
      if (fits(ip)) rule(chain, fmt::format("{} {} {}", d.peer_side, host(ip), allow()));
    }
    for (const PolicyPeer& peer : r.peers) {
      if (peer.is_block && fits(peer.block.address)) add_block(chain, peer, d);
    }
    return chain;
  }

  void add_block(const std::string& chain, const PolicyPeer& peer, const Direction& d) {
    std::string match = fmt::format("{} {} ", d.peer_side, peer.block.text());
    if (peer.except.empty()) return rule(chain, match + allow());
    std::string key = peer.block.text();
    for (const api::Cidr& except : peer.except) key += " " + except.text();
    std::string block = hashed(d.block_kind, key);
    rule(chain, match + "-j " + block);
    if (!make(block)) return;
    for (const api::Cidr& except : peer.except) {
      if (!fits(except.address)) continue;
      rule(block, fmt::format("{} {} -j RETURN", d.peer_side, except.text()));
    }
    rule(block, allow());
  }

  const PolicyState& state_;
  const PolicyRulesConfig& config_;
  std::string bit_;
  RuleSet rules_;
};

}  // namespace

RuleSet policy_rules(const PolicyState& state, const PolicyRulesConfig& config) {
  return Renderer(state, config).render();
}

bool is_selected(const PolicyState& state, const NamespacedName& name, const PolicyPod& pod) {
  for (const auto& [policy, view] : state.policies) {
    if (selects(policy, view, name, pod)) return true;
  }
  return false;
}

}  // namespace knarr::agent
