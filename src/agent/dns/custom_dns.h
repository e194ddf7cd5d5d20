// What the ConfigMap kube-system/knarr-dns adds to cluster DNS. Its keys, each of which counts or
// is refused as a whole:
//
//   NAME.server            server blocks of a Corefile for zones of their own (as k3s'
//                          coredns-custom has them): forward, hosts, rewrite name
//   NAME.override          the same directives for all other names
//   stubDomains            JSON, as kube-dns had it: {"corp.example": ["10.0.0.1"]}
//   upstreamNameservers    JSON: ["10.0.0.1"], in place of those of the node's resolv.conf
//   hosts, NodeHosts       lines of an /etc/hosts
//
// Of a Corefile's other directives those that change no answer are passed over (errors, log, cache,
// ...), and what is not understood is refused. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "knarr/result.h"

namespace knarr::agent {

struct DnsTarget {
  std::string address;
  uint16_t port = 53;
  auto operator<=>(const DnsTarget&) const = default;
};

// A query for a name is asked for another one; the answer has the first name again.
struct DnsRewrite {
  bool suffix = false;   // else the whole name
  std::string from, to;  // lower case, without a last dot
  bool operator==(const DnsRewrite&) const = default;
};

// How names of a zone are answered. The zone "" is that of all names which no other has.
struct DnsBlock {
  std::vector<DnsTarget> targets;
  std::map<std::string, std::vector<std::string>> hosts;    // name -> addresses
  std::map<std::string, std::vector<std::string>> reverse;  // address -> names
  bool falls_through = false;  // names that hosts does not have are asked for
  std::vector<DnsRewrite> rewrites;
  bool operator==(const DnsBlock&) const = default;
};

struct CustomDns {
  std::map<std::string, DnsBlock> blocks;  // by zone: lower case, without a last dot
  std::vector<std::string> problems;       // "corp.server: line 3: ..."

  // The zone of `blocks` that has the name, the longest; `than` is one that is known to have it.
  // Null when that is the longest.
  const std::pair<const std::string, DnsBlock>* block_of(std::string_view name,
                                                         std::string_view than) const;
};

// `data` of the ConfigMap.
CustomDns parse_custom_dns(const json::Value& data);

bool is_in_zone(std::string_view name, std::string_view zone);
// The name that is asked for instead; empty: it stays.
std::string rewritten(const std::vector<DnsRewrite>& rewrites, std::string_view name);

}  // namespace knarr::agent
