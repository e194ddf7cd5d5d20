// The texts of the files that every container gets: /etc/hosts, /etc/hostname, /etc/resolv.conf.
// Pure.
#pragma once

#include <string>
#include <vector>

#include "agent/pod.h"

namespace knarr::agent {

struct DnsSettings {
  std::vector<std::string> cluster_dns;  // addresses
  std::string cluster_domain = "cluster.local";
};

// The pod's host name and, for a pod with a subdomain, its domain ("sub.ns.svc.cluster.local").
struct HostName {
  std::string name;
  std::string domain;
};
HostName host_name_of(const Pod& pod, const DnsSettings& dns, const std::string& node_hostname);
// What hostname(1) prints: the name, or the whole with setHostnameAsFQDN.
std::string hostname_of(const Pod& pod, const HostName& name);

// node_hosts is the node's own /etc/hosts, for pods on its network.
std::string hosts_file(const Pod& pod, const HostName& name,
                       const std::vector<std::string>& pod_ips, const std::string& node_hosts);

// node_resolv_conf is the node's own, for dnsPolicy Default and for its search domains. What a C
// library would not take is left out, and told to `omitted` (when given) as a kubelet says it.
std::string resolv_conf(const Pod& pod, const DnsSettings& dns, const std::string& node_resolv_conf,
                        std::vector<std::string>* omitted = nullptr);

}  // namespace knarr::agent
