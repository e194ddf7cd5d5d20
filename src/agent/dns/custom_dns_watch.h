// Follows the ConfigMap kube-system/knarr-dns. What is refused of it is told in the log and as an
// Event of the ConfigMap. Loop thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "agent/dns/custom_dns.h"
#include "api/event_recorder.h"
#include "knarr/client.h"
#include "knarr/clock.h"

namespace knarr::agent {

class CustomDnsWatch final : public client::WatchHandler {
 public:
  using Changed = std::function<void(CustomDns custom)>;
  CustomDnsWatch(client::Client& client, const Clock& clock, const std::string& node_name,
                 Changed changed);

  void start();
  void on_upsert(const ObjectRef& object) override;
  void on_delete(const ObjectRef& last) override;

 private:
  client::Client& client_;
  Changed changed_;
  api::EventRecorder events_;
  std::unique_ptr<client::Watch> watch_;
};

}  // namespace knarr::agent
