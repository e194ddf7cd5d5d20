// NetworkPolicies, and of pods and namespaces what matters to them: decoded once, checked
// (addresses are addresses, ports are ports). A selector or block that can't be read selects
// nothing.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "agent/proxy/service_view.h"
#include "api/ip.h"
#include "api/selector.h"
#include "base/json.h"
#include "knarr/object_key.h"

namespace knarr::agent {

using LabelList = std::vector<std::pair<std::string, std::string>>;  // sorted by key

struct NamedPort {
  std::string name;
  Protocol protocol = Protocol::kTcp;
  uint16_t number = 0;
  bool operator==(const NamedPort&) const = default;
};

struct PolicyPod {
  std::string node;
  LabelList labels;
  std::vector<api::IpAddress> addresses;  // none: on its node's network, over, or not yet there
  std::vector<NamedPort> ports;
  bool over = false;
  bool own_network = true;
  bool operator==(const PolicyPod&) const = default;
};

struct PolicyPeer {
  bool is_block = false;
  api::Cidr block;  // with is_block: these addresses
  std::vector<api::Cidr> except;
  bool own_namespace = false;  // else: of the namespaces that are selected
  api::LabelSelector namespaces;
  api::LabelSelector pods;
};

// Numbers port to last; a name; or, with neither, every port of the protocol.
struct PolicyPort {
  Protocol protocol = Protocol::kTcp;
  uint16_t port = 0;
  uint16_t last = 0;
  std::string name;
};

struct PolicyRule {
  std::vector<PolicyPeer> peers;
  bool any_peer = true;
  std::vector<PolicyPort> ports;
  bool any_port = true;
  std::string peers_text;  // stands for the peers, with the policy's namespace
};

struct PolicyView {
  api::LabelSelector pods;
  bool limits_ingress = false;
  bool limits_egress = false;
  std::vector<PolicyRule> ingress;
  std::vector<PolicyRule> egress;
  std::string text;  // of the spec
};

PolicyView parse_policy(const json::Value& object);
PolicyPod parse_policy_pod(const json::Value& object);
LabelList parse_labels(const json::Value& labels);

struct PolicyState {
  std::map<NamespacedName, PolicyView> policies;
  std::map<NamespacedName, PolicyPod> pods;
  std::map<std::string, LabelList> namespaces;
};

}  // namespace knarr::agent
