// One query in, one answer out, whoever knows it: names of the cluster, what a ConfigMap adds
// (custom_dns.h), the cache, name servers upstream. Loop thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/dns/cache.h"
#include "agent/dns/custom_dns.h"
#include "agent/dns/forwarder.h"
#include "agent/dns/records.h"
#include "agent/proxy/service_watch.h"
#include "base/loop.h"
#include "knarr/random.h"

namespace knarr::agent {

struct DnsOptions {
  std::string address;  // "10.43.0.10"
  uint16_t port = 53;
  std::string domain = "cluster.local";
  std::string resolv_conf = "/etc/resolv.conf";
  uint32_t ttl_seconds = 5;
};

class Resolver {
 public:
  Resolver(base::Loop& loop, ServiceWatch& services, Random& random, const DnsOptions& options);

  // Called once, at once or later; not for what is no query, and not when this is gone.
  using Send = std::function<void(std::string bytes)>;
  void handle(std::string_view bytes, bool tcp, Send send);

  void set_custom(CustomDns custom);
  void set_upstream_port(uint16_t port) { forwarder_.set_port(port); }  // for tests

 private:
  struct Query;  // what is wanted, and how it is answered
  struct Found {
    DnsAnswer answer;
    std::string zone;                // of the block that decides, when the answer is not here
    std::vector<DnsTarget> targets;  // empty: those of the node
  };
  Found look_up(const net::dns::Question& question) const;
  const DnsBlock* rules_for(const std::string& name, std::string* zone) const;
  void answer(const Query& query, const DnsAnswer& found);
  void follow(const Query& query, net::dns::Message reply, DnsAnswer alias);
  void pass_on(const Query& query, const Found& found, std::string_view bytes);
  using Answered = std::function<void(Result<net::dns::Message>)>;
  void ask_upstream(const net::dns::Question& question, const Found& found, bool tcp,
                    Answered done);
  void spread(std::vector<net::dns::Record>& records);

  base::Loop& loop_;
  ServiceWatch& services_;
  Random& random_;
  DnsZone zone_;
  CustomDns custom_;
  DnsCache cache_;
  Forwarder forwarder_;
};

}  // namespace knarr::agent
