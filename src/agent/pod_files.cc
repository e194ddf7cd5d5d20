#include "agent/pod_files.h"

#include <algorithm>
#include <sstream>

namespace knarr::agent {

using json::Value;

namespace {

constexpr size_t kMaxHostName = 63;
constexpr size_t kMaxNameservers = 3;
constexpr size_t kMaxSearches = 32;
constexpr size_t kMaxSearchBytes = 2048;  // with the spaces between

struct Resolver {
  std::vector<std::string> nameservers;
  std::vector<std::string> searches;
  std::vector<std::string> options;
};

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream in(line);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

Resolver parse_resolver(const std::string& text) {
  Resolver r;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    std::vector<std::string> words = words_of(line.substr(0, line.find_first_of("#;")));
    if (words.size() < 2) continue;
    std::vector<std::string> rest(words.begin() + 1, words.end());
    if (words[0] == "nameserver") r.nameservers.push_back(rest[0]);
    if (words[0] == "search" || words[0] == "domain") r.searches = rest;
    if (words[0] == "options") r.options = rest;
  }
  return r;
}

void add_new(std::vector<std::string>& list, const std::string& value) {
  if (std::find(list.begin(), list.end(), value) == list.end()) list.push_back(value);
}

// An option of dnsConfig replaces one of the same name.
void merge_option(std::vector<std::string>& options, const Value& option) {
  std::string name = option["name"].text();
  options.erase(
      std::remove_if(options.begin(), options.end(),
                     [&](const std::string& o) { return o.substr(0, o.find(':')) == name; }),
      options.end());
  bool has_value = option["value"].is_string() && !option["value"].as_string().empty();
  options.push_back(has_value ? name + ":" + option["value"].text() : name);
}

std::string line_of(const char* keyword, const std::vector<std::string>& values) {
  std::string line = keyword;
  for (const std::string& value : values) line += " " + value;
  return line + "\n";
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

void limit_searches(std::vector<std::string>& searches) {
  searches.resize(std::min(searches.size(), kMaxSearches));
  size_t bytes = 0, kept = 0;
  while (kept < searches.size() && bytes + searches[kept].size() <= kMaxSearchBytes) {
    bytes += searches[kept++].size() + 1;
  }
  searches.resize(kept);
}

bool uses_cluster_dns(const Pod& pod) {
  std::string_view policy = pod.spec()["dnsPolicy"].as_string("ClusterFirst");
  return policy == "ClusterFirstWithHostNet" || (policy == "ClusterFirst" && !pod.host_network());
}

}  // namespace

HostName host_name_of(const Pod& pod, const DnsSettings& dns, const std::string& node_hostname) {
  if (pod.host_network()) return {node_hostname, ""};
  HostName host;
  if (const Value& own = pod.spec()["hostnameOverride"]; own.is_string()) {  // KEP-4762
    host.name = own.text().substr(0, kMaxHostName + 1);
    return host;
  }
  host.name = pod.spec()["hostname"].text();
  if (host.name.empty()) host.name = pod.name();
  host.name.resize(std::min(host.name.size(), kMaxHostName));
  while (!host.name.empty() && (host.name.back() == '-' || host.name.back() == '.')) {
    host.name.pop_back();
  }
  std::string subdomain = pod.spec()["subdomain"].text();
  if (!subdomain.empty()) host.domain = subdomain + "." + pod.ns() + ".svc." + dns.cluster_domain;
  return host;
}

std::string hostname_of(const Pod& pod, const HostName& host) {
  bool whole = pod.spec()["setHostnameAsFQDN"].as_bool() && !host.domain.empty();
  return whole ? host.name + "." + host.domain : host.name;
}

std::string hosts_file(const Pod& pod, const HostName& host,
                       const std::vector<std::string>& pod_ips, const std::string& node_hosts) {
  std::string text;
  if (pod.host_network()) {
    text = "# Kubernetes-managed hosts file (host network).\n" + node_hosts;
  } else {
    text =
        "# Kubernetes-managed hosts file.\n"
        "127.0.0.1\tlocalhost\n"
        "::1\tlocalhost ip6-localhost ip6-loopback\n"
        "fe00::0\tip6-localnet\n"
        "fe00::0\tip6-mcastprefix\n"
        "fe00::1\tip6-allnodes\n"
        "fe00::2\tip6-allrouters\n";
    for (const std::string& ip : pod_ips) {
      text += ip + "\t";
      if (!host.domain.empty()) text += host.name + "." + host.domain + "\t";
      text += host.name + "\n";
    }
  }
  const Value& aliases = pod.spec()["hostAliases"];
  if (aliases.empty()) return text;
  text += "\n# Entries added by HostAliases.\n";
  for (const Value& alias : aliases.elements()) {
    text += alias["ip"].text();
    for (const Value& name : alias["hostnames"].elements()) text += "\t" + name.text();
    text += "\n";
  }
  return text;
}

std::string resolv_conf(const Pod& pod, const DnsSettings& dns, const std::string& node_resolv_conf,
                        std::vector<std::string>* omitted) {
  Resolver node = parse_resolver(node_resolv_conf);
  Resolver r;
  if (uses_cluster_dns(pod) && !dns.cluster_dns.empty()) {
    r.nameservers = dns.cluster_dns;
    const std::string& domain = dns.cluster_domain;
    r.searches = {pod.ns() + ".svc." + domain, "svc." + domain, domain};
    for (const std::string& search : node.searches) add_new(r.searches, search);
    r.options = {"ndots:5"};
  } else if (pod.spec()["dnsPolicy"].as_string() != "None") {
    r = std::move(node);
  }
  const Value& config = pod.spec()["dnsConfig"];
  for (const Value& n : config["nameservers"].elements()) add_new(r.nameservers, n.text());
  for (const Value& s : config["searches"].elements()) add_new(r.searches, s.text());
  for (const Value& o : config["options"].elements()) merge_option(r.options, o);
  size_t nameservers = r.nameservers.size(), searches = r.searches.size();
  r.nameservers.resize(std::min(nameservers, kMaxNameservers));
  limit_searches(r.searches);
  if (omitted != nullptr && r.searches.size() < searches) {
    omitted->push_back(
        "Search Line limits were exceeded, some search paths have been omitted, the applied search "
        "line is: " +
        joined(r.searches));
  }
  if (omitted != nullptr && r.nameservers.size() < nameservers) {
    omitted->push_back(
        "Nameserver limits were exceeded, some nameservers have been omitted, the applied "
        "nameserver line is: " +
        joined(r.nameservers));
  }

  std::string text;
  if (!r.searches.empty()) text += line_of("search", r.searches);
  for (const std::string& n : r.nameservers) text += line_of("nameserver", {n});
  if (!r.options.empty()) text += line_of("options", r.options);
  return text;
}

}  // namespace knarr::agent
