// What cluster DNS knows: names of services, endpoints and pods, as the DNS specification of
// Kubernetes (schema version 1.1.0) has them and CoreDNS' kubernetes plugin answers. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/proxy/service_view.h"
#include "net/dns.h"

namespace knarr::agent {

struct DnsZone {
  std::string domain = "cluster.local";  // lower case
  std::string address;                   // of the server: its ns.dns name
  uint32_t ttl_seconds = 5;
  uint32_t serial = 1;
};

struct DnsAnswer {
  enum class Kind {
    kAnswer,   // records, NXDOMAIN or NODATA, with authority
    kForeign,  // not ours: ask upstream
    kAlias,    // records end in a CNAME; `alias` has to be resolved and its answer added
  } kind = Kind::kForeign;
  uint8_t rcode = net::dns::kNoError;
  std::vector<net::dns::Record> answers, authorities, additionals;
  std::string alias;
};

DnsAnswer dns_answer(const ServiceState& state, const DnsZone& zone,
                     const net::dns::Question& question);

}  // namespace knarr::agent
