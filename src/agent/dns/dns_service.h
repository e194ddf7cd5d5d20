// The Service object kube-system/kube-dns, whose clusterIP is the DNS address: without selector and
// endpoints, since knarr answers at that address itself.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/json.h"
#include "knarr/client.h"
#include "knarr/clock.h"

namespace knarr::agent {

json::Value dns_service_object(const std::string& address);

// Creates it when it is absent; tries again while the API (or the namespace) is not there.
// Destroying it ends the trying.
class DnsServiceObject {
 public:
  DnsServiceObject(client::Client& client, Clock& clock, std::string address);
  void ensure(std::function<void()> done = {});

 private:
  void create();

  client::Client& client_;
  std::string address_;
  std::unique_ptr<Timer> retry_;
  int64_t retry_ms_ = 100;
  std::function<void()> done_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace knarr::agent
