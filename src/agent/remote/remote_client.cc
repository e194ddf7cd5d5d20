#include "agent/remote/remote_client.h"

#include "agent/remote/remote_watch.h"
#include "agent/remote/wire.h"

namespace knarr::agent {

RemoteClient::RemoteClient(base::Loop& loop, Random& random, RemoteOptions options)
    : loop_(loop),
      random_(random),
      options_(std::move(options)),
      servers_(options_.servers),
      http_(loop, {.tls = options_.tls}) {}

net::ClientRequest RemoteClient::prepare(std::string method, const std::string& path) const {
  net::ClientRequest request;
  request.method = std::move(method);
  request.url = servers_.current() + path;
  request.headers.add("Accept", "application/json");
  if (!options_.user_agent.empty()) request.headers.add("User-Agent", options_.user_agent);
  if (!options_.bearer_token.empty()) {
    request.headers.add("Authorization", "Bearer " + options_.bearer_token);
  }
  return request;
}

void RemoteClient::call(client::Request from, client::Reply reply) {
  net::ClientRequest request = prepare(std::string(method_of(from.verb)), path_of(from));
  request.timeout_ms = options_.call_timeout_ms;
  std::string_view type = content_type_of(from);
  if (!type.empty()) request.headers.add("Content-Type", type);
  if (!from.body.empty()) request.body = std::move(from.body);
  uint64_t id = next_call_++;
  auto answered = [this, id, server = servers_.current(), target = std::move(from.target),
                   reply = std::move(reply)](Result<net::Response> response) mutable {
    // What this function holds goes with its call.
    client::Target asked = std::move(target);
    client::Reply tell = std::move(reply);
    if (!response.ok()) servers_.failed(server);  // gone, or silent
    calls_.erase(id);
    if (!response.ok()) return tell(std::move(response).error());
    tell(read_answer(asked, response->status, response->body));
  };
  calls_[id] = http_.fetch(std::move(request), std::move(answered));
}

std::unique_ptr<client::Watch> RemoteClient::watch(client::WatchTarget target,
                                                   client::WatchHandler& handler) {
  return std::make_unique<RemoteWatch>(*this, std::move(target), handler);
}

Result<void> RemoteClient::reload(const net::TlsConfig& tls) {
  options_.tls = tls;
  return http_.reload(tls);
}

}  // namespace knarr::agent
