// client::Client inside the server's process: direct calls into the registry, no sockets. Watches
// are served by the cache, so that all controllers share one copy of every object. Loop thread.
#pragma once

#include <memory>
#include <string>

#include "knarr/client.h"
#include "server/registry/registry.h"

namespace knarr::server {

class LocalClient final : public client::Client {
 public:
  // `user_agent` names the field manager of its writes.
  LocalClient(Registry& registry, UserRef user, std::string user_agent);

  void call(client::Request request, client::Reply reply) override;
  std::unique_ptr<client::Watch> watch(client::WatchTarget target,
                                       client::WatchHandler& handler) override;

 private:
  Registry& registry_;
  UserRef user_;
  std::string user_agent_;
};

// A member of system:masters of this name.
UserRef privileged_user(const std::string& name);

}  // namespace knarr::server
