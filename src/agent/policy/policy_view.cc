#include "agent/policy/policy_view.h"

#include <algorithm>

namespace knarr::agent {

using json::Value;

namespace {

api::LabelSelector selector(const Value& value) {
  auto parsed = api::LabelSelector::from_object(value);
  return parsed.ok() ? *std::move(parsed) : api::LabelSelector::nothing();
}

PolicyPeer parse_peer(const Value& peer) {
  PolicyPeer out;
  out.namespaces = out.pods = api::LabelSelector::nothing();
  if (const Value* block = peer.find("ipBlock"); block != nullptr && !block->is_null()) {
    auto range = api::Cidr::parse((*block)["cidr"].as_string());
    if (!range) return out;
    out.is_block = true;
    out.block = {range->network(), range->prefix};
    for (const Value& text : (*block)["except"].elements()) {
      auto except = api::Cidr::parse(text.as_string());
      if (except) out.except.push_back({except->network(), except->prefix});
    }
    return out;
  }
  const Value& namespaces = peer["namespaceSelector"];
  const Value& pods = peer["podSelector"];
  out.own_namespace = namespaces.is_null();
  if (!namespaces.is_null()) out.namespaces = selector(namespaces);
  out.pods = pods.is_null() && !namespaces.is_null() ? api::LabelSelector() : selector(pods);
  return out;
}

// False: what can't be read opens nothing.
bool parse_port(const Value& port, PolicyPort& out) {
  auto protocol = parse_protocol(port["protocol"].as_string());
  if (!protocol) return false;
  out.protocol = *protocol;
  const Value& number = port["port"];
  if (number.is_null()) return true;
  if (number.is_string()) {
    out.name = number.text();
    return !out.name.empty();
  }
  out.port = port_number(number);
  out.last = port["endPort"].is_null() ? out.port : port_number(port["endPort"]);
  return out.port != 0 && out.last >= out.port;
}

std::vector<PolicyRule> parse_rules(const Value& rules, const char* peers, const std::string& ns) {
  std::vector<PolicyRule> out;
  for (const Value& rule : rules.elements()) {
    PolicyRule& r = out.emplace_back();
    r.any_peer = rule[peers].size() == 0;
    r.any_port = rule["ports"].size() == 0;
    for (const Value& peer : rule[peers].elements()) r.peers.push_back(parse_peer(peer));
    for (const Value& port : rule["ports"].elements()) {
      if (PolicyPort p; parse_port(port, p)) r.ports.push_back(std::move(p));
    }
    r.peers_text = ns + "/" + json::write(rule[peers]);
  }
  return out;
}

}  // namespace

LabelList parse_labels(const Value& labels) {
  LabelList out;
  for (const auto& [key, value] : labels.members()) {
    out.emplace_back(std::string(key), value.text());
  }
  std::sort(out.begin(), out.end());
  return out;
}

PolicyView parse_policy(const Value& object) {
  const Value& spec = object["spec"];
  PolicyView out;
  out.text = json::write(spec);
  // Left out it is empty, which selects all.
  const Value& pods = spec["podSelector"];
  out.pods = pods.is_null() ? api::LabelSelector() : selector(pods);
  std::string ns = object["metadata"]["namespace"].text();
  out.ingress = parse_rules(spec["ingress"], "from", ns);
  out.egress = parse_rules(spec["egress"], "to", ns);
  for (const Value& type : spec["policyTypes"].elements()) {
    out.limits_ingress |= type.as_string() == "Ingress";
    out.limits_egress |= type.as_string() == "Egress";
  }
  if (spec["policyTypes"].size() == 0) {
    out.limits_ingress = true;
    out.limits_egress = !out.egress.empty();
  }
  return out;
}

PolicyPod parse_policy_pod(const Value& object) {
  const Value& spec = object["spec"];
  const Value& status = object["status"];
  PolicyPod out;
  out.node = spec["nodeName"].text();
  out.labels = parse_labels(object["metadata"]["labels"]);
  std::string_view phase = status["phase"].as_string();
  out.over = phase == "Succeeded" || phase == "Failed";
  out.own_network = !spec["hostNetwork"].as_bool();
  if (out.over || !out.own_network) return out;
  auto add_address = [&out](const Value& text) {
    if (auto ip = api::IpAddress::parse(text.as_string())) out.addresses.push_back(*ip);
  };
  for (const Value& ip : status["podIPs"].elements()) add_address(ip["ip"]);
  if (out.addresses.empty()) add_address(status["podIP"]);
  for (const char* list : {"containers", "initContainers"}) {
    for (const Value& container : spec[list].elements()) {
      for (const Value& port : container["ports"].elements()) {
        auto protocol = parse_protocol(port["protocol"].as_string());
        uint16_t number = port_number(port["containerPort"]);
        if (!protocol || number == 0 || port["name"].as_string().empty()) continue;
        out.ports.push_back({port["name"].text(), *protocol, number});
      }
    }
  }
  return out;
}

}  // namespace knarr::agent
