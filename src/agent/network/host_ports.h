// Ports of the host that lead to pods (containers[].ports[].hostPort), as rules. Pure.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/pod.h"
#include "agent/proxy/rule_set.h"
#include "agent/proxy/service_view.h"

namespace knarr::agent {

struct HostPort {
  Protocol protocol = Protocol::kTcp;
  std::string host_ip;  // empty: every address of the host
  uint16_t host_port = 0;
  uint16_t container_port = 0;
};

std::vector<HostPort> host_ports_of(const Pod& pod);

struct PublishedPod {
  std::string addresses;  // of each IP family one
  std::vector<HostPort> ports;
};

// `pods` by sandbox id.
RuleSet host_port_rules(const std::map<std::string, PublishedPod>& pods, const std::string& prefix,
                        bool v6 = false);

}  // namespace knarr::agent
