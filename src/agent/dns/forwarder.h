// Queries for other names, handed on to the resolvers of the node's resolv.conf (or others) as they
// came but for the id, the answers handed back as they came. A server that is silent for kTimeoutMs
// is followed by the next. Never asks ourselves: neither at our address nor by way of a server that
// leads back here, which a query of a name of its own finds out. Loop thread.
#pragma once

#include <sys/types.h>

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/dns/custom_dns.h"
#include "base/loop.h"
#include "knarr/random.h"
#include "net/dns.h"

namespace knarr::agent {

// The servers of a resolv.conf, but those in `own`. Pure.
std::vector<std::string> upstream_servers(std::string_view resolv_conf,
                                          const std::set<std::string>& own);

class Forwarder {
 public:
  static constexpr int64_t kTimeoutMs = 2000;
  static constexpr size_t kMaxInFlight = 256;

  Forwarder(base::Loop& loop, Random& random, std::string resolv_conf, std::set<std::string> own);
  ~Forwarder();

  // Upstream port, for tests.
  void set_port(uint16_t port) { port_ = port; }

  // `targets` are asked, or when there are none those of the file. `done` with the answer's bytes,
  // their id that of the query; empty when no server answered.
  void forward(std::string_view query, bool tcp, const std::vector<DnsTarget>& targets,
               std::function<void(std::string answer)> done);
  // Whether the question is the one by which a server is found to lead back here. That server is
  // not asked any more, until the file changes.
  bool is_own_probe(const net::dns::Question& question);

 private:
  class Exchange;
  const std::vector<DnsTarget>& servers();
  void probe();
  void finish(Exchange* exchange);

  base::Loop& loop_;
  Random& random_;
  std::string path_;
  std::set<std::string> own_;
  uint16_t port_ = 53;
  std::vector<DnsTarget> servers_;
  std::map<std::string, std::string> probes_;  // name -> the server it was asked of
  int64_t checked_ms_ = -1;
  int64_t modified_ns_ = -1;
  std::list<std::shared_ptr<Exchange>> exchanges_;
};

}  // namespace knarr::agent
