// Services and EndpointSlices as the proxy and DNS read them: decoded once, checked (addresses are
// addresses, ports are ports, names have no bytes that a rule could stumble over).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "knarr/object_key.h"

namespace knarr::agent {

enum class Protocol : uint8_t { kTcp, kUdp, kSctp };
uint16_t port_number(const json::Value& value);                 // 0: it is none
const char* protocol_name(Protocol protocol);                   // "tcp"
std::optional<Protocol> parse_protocol(std::string_view text);  // "TCP"; "" is TCP

struct ServicePort {
  std::string name;
  Protocol protocol = Protocol::kTcp;
  uint16_t port = 0;
  uint16_t node_port = 0;  // 0: none
  bool operator==(const ServicePort&) const = default;
};

struct ServiceView {
  NamespacedName name;
  bool headless = false;
  std::string external_name;  // of type ExternalName, else empty
  std::vector<std::string> cluster_ips;
  std::vector<std::string> external_ips;
  std::vector<std::string> ingress_ips;    // of the load balancer, mode VIP
  std::vector<std::string> source_ranges;  // for ingress_ips; empty: all
  std::vector<ServicePort> ports;
  int affinity_seconds = 0;  // 0: none
  bool internal_local = false;
  bool external_local = false;
  uint16_t health_port = 0;  // of the nodes, where a load balancer asks for local endpoints
  bool operator==(const ServiceView&) const = default;
};

struct EndpointView {
  std::vector<std::string> addresses;
  std::string hostname;
  std::string node;
  std::vector<std::string> for_zones, for_nodes;  // hints: who should use it
  bool ready = true;
  bool serving = true;
  bool terminating = false;
  bool operator==(const EndpointView&) const = default;
};

struct SlicePort {
  std::string name;
  Protocol protocol = Protocol::kTcp;
  uint16_t port = 0;  // 0: all
  bool operator==(const SlicePort&) const = default;
};

struct SliceView {
  NamespacedName name;
  std::string service;  // in the slice's namespace
  bool v6 = false;
  bool fqdn = false;
  std::vector<SlicePort> ports;
  std::vector<EndpointView> endpoints;
  bool operator==(const SliceView&) const = default;
};

ServiceView parse_service(const json::Value& object);
SliceView parse_slice(const json::Value& object);

// All of the cluster. Keys: the service; the service, then the slice's name.
struct ServiceState {
  std::map<NamespacedName, ServiceView> services;
  std::map<NamespacedName, std::map<std::string, SliceView>> slices;
};

}  // namespace knarr::agent
