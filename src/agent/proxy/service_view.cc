#include "agent/proxy/service_view.h"

#include "api/ip.h"

namespace knarr::agent {

using json::Value;

uint16_t port_number(const Value& value) {
  int64_t n = value.as_int();
  return n > 0 && n <= 65535 ? static_cast<uint16_t>(n) : 0;
}

namespace {

bool is_plain(std::string_view text) {
  for (char c : text) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                 c == '-' || c == '.' || c == '_' || c == ':';
    if (!plain) return false;
  }
  return true;
}

std::string plain(const Value& text) {
  return is_plain(text.as_string()) ? text.text() : std::string();
}

void add_address(const Value& text, std::vector<std::string>& out) {
  if (auto ip = api::IpAddress::parse(text.as_string())) out.push_back(ip->text());
}

void add_ranges(const Value& list, std::vector<std::string>& out) {
  for (const Value& text : list.elements()) {
    auto range = api::Cidr::parse(text.as_string());
    if (range) out.push_back(api::Cidr{range->network(), range->prefix}.text());
  }
}

ServicePort parse_port(const Value& port, Protocol protocol) {
  ServicePort out;
  out.name = plain(port["name"]);
  out.protocol = protocol;
  out.port = port_number(port["port"]);
  out.node_port = port_number(port["nodePort"]);
  return out;
}

void parse_addresses(const Value& object, ServiceView& out) {
  const Value& spec = object["spec"];
  for (const Value& ip : spec["clusterIPs"].elements()) add_address(ip, out.cluster_ips);
  if (out.cluster_ips.empty()) add_address(spec["clusterIP"], out.cluster_ips);
  for (const Value& ip : spec["externalIPs"].elements()) add_address(ip, out.external_ips);
  if (spec["type"].as_string() != "LoadBalancer") return;
  for (const Value& ingress : object["status"]["loadBalancer"]["ingress"].elements()) {
    if (ingress["ipMode"].as_string() != "Proxy") add_address(ingress["ip"], out.ingress_ips);
  }
  add_ranges(spec["loadBalancerSourceRanges"], out.source_ranges);
}

EndpointView parse_endpoint(const Value& endpoint) {
  EndpointView out;
  for (const Value& a : endpoint["addresses"].elements()) add_address(a, out.addresses);
  out.hostname = plain(endpoint["hostname"]);
  out.node = endpoint["nodeName"].text();
  for (const Value& hint : endpoint["hints"]["forZones"].elements()) {
    out.for_zones.push_back(hint["name"].text());
  }
  for (const Value& hint : endpoint["hints"]["forNodes"].elements()) {
    out.for_nodes.push_back(hint["name"].text());
  }
  const Value& conditions = endpoint["conditions"];
  out.ready = conditions["ready"].as_bool(true);  // what is not said counts as ready
  out.serving = conditions["serving"].as_bool(out.ready);
  out.terminating = conditions["terminating"].as_bool();
  return out;
}

NamespacedName name_of(const Value& object) {
  return {plain(object["metadata"]["namespace"]), plain(object["metadata"]["name"])};
}

}  // namespace

const char* protocol_name(Protocol protocol) {
  switch (protocol) {
    case Protocol::kTcp: return "tcp";
    case Protocol::kUdp: return "udp";
    case Protocol::kSctp: return "sctp";
  }
  return "tcp";
}

std::optional<Protocol> parse_protocol(std::string_view text) {
  if (text.empty() || text == "TCP") return Protocol::kTcp;
  if (text == "UDP") return Protocol::kUdp;
  if (text == "SCTP") return Protocol::kSctp;
  return std::nullopt;
}

ServiceView parse_service(const Value& object) {
  const Value& spec = object["spec"];
  ServiceView out;
  out.name = name_of(object);
  if (spec["type"].as_string() == "ExternalName") {
    out.external_name = spec["externalName"].text();
    return out;
  }
  out.headless = spec["clusterIP"].as_string() == "None";
  parse_addresses(object, out);
  for (const Value& port : spec["ports"].elements()) {
    auto protocol = parse_protocol(port["protocol"].as_string());
    if (protocol && port_number(port["port"]) != 0)
      out.ports.push_back(parse_port(port, *protocol));
  }
  if (spec["sessionAffinity"].as_string() == "ClientIP") {
    int64_t seconds = spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"].as_int(10800);
    out.affinity_seconds = seconds > 0 && seconds <= 86400 ? static_cast<int>(seconds) : 10800;
  }
  out.internal_local = spec["internalTrafficPolicy"].as_string() == "Local";
  out.external_local = spec["externalTrafficPolicy"].as_string() == "Local";
  if (out.external_local && spec["type"].as_string() == "LoadBalancer") {
    out.health_port = port_number(spec["healthCheckNodePort"]);
  }
  return out;
}

SliceView parse_slice(const Value& object) {
  SliceView out;
  out.name = name_of(object);
  out.service = plain(object["metadata"]["labels"]["kubernetes.io/service-name"]);
  out.v6 = object["addressType"].as_string() == "IPv6";
  out.fqdn = object["addressType"].as_string() == "FQDN";
  for (const Value& port : object["ports"].elements()) {
    auto protocol = parse_protocol(port["protocol"].as_string());
    if (protocol) out.ports.push_back({plain(port["name"]), *protocol, port_number(port["port"])});
  }
  for (const Value& endpoint : object["endpoints"].elements()) {
    out.endpoints.push_back(parse_endpoint(endpoint));
  }
  return out;
}

}  // namespace knarr::agent
