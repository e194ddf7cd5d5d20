// Learns the servers' addresses from the cluster: the endpoints of the Service "kubernetes", as
// they come and go. When there are none, those that were known stay. Loop thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/remote/server_list.h"
#include "base/json.h"
#include "knarr/client.h"

namespace knarr::agent {

// Of one EndpointSlice: "https://10.0.0.1:6443" for each endpoint that is ready.
std::vector<std::string> server_urls(const json::Value& slice);

class ServerWatch final : public client::WatchHandler {
 public:
  ServerWatch(client::Client& client, std::shared_ptr<ServerBook> book);

  void on_upsert(const ObjectRef& slice) override;
  void on_delete(const ObjectRef& last) override;
  void on_synced() override;

 private:
  void learn();

  std::shared_ptr<ServerBook> book_;
  std::map<std::string, std::vector<std::string>> urls_;  // by slice
  bool synced_ = false;
  std::unique_ptr<client::Watch> watch_;
};

}  // namespace knarr::agent
