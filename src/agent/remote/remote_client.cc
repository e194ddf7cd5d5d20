#include "agent/remote/remote_client.h"

#include "agent/remote/remote_watch.h"
#include "agent/remote/wire.h"
#include "base/log.h"

namespace knarr::agent {

namespace {

// There may be another server to ask.
constexpr int64_t kConnectMs = 5000;

}  // namespace

bool is_absence(const Error& error) {
  return error.code == Code::kServiceUnavailable || error.code == Code::kTimeout;
}

RemoteClient::RemoteClient(base::Loop& loop, Random& random, RemoteOptions options)
    : loop_(loop),
      random_(random),
      options_(std::move(options)),
      servers_(options_.servers),
      http_(loop, {.tls = options_.tls, .connect_timeout_ms = kConnectMs}) {}

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
  if (!from.body.empty()) request.body = from.body;
  uint64_t id = next_call_++;
  auto answered = [this, id, server = servers_.current(), from = std::move(from),
                   reply = std::move(reply)](Result<net::Response> response) mutable {
    // What this function holds goes with its call.
    client::Request asked = std::move(from);
    client::Reply tell = std::move(reply);
    calls_.erase(id);
    Result<ObjectRef> answer = response.ok()
                                   ? read_answer(asked.target, response->status, response->body)
                                   : Result<ObjectRef>(std::move(response).error());
    // Gone, silent, or not up yet.
    if (!response.ok() || (!answer.ok() && is_absence(answer.error()))) {
      servers_.failed(server, loop_.monotonic_ms());
    } else {
      servers_.answered(server);
    }
    tell(remember(asked, std::move(answer)));
  };
  calls_[id] = http_.fetch(std::move(request), std::move(answered));
}

// A server that is there is believed, also when it says that there is no such thing.
Result<ObjectRef> RemoteClient::remember(const client::Request& request, Result<ObjectRef> answer) {
  if (options_.memory == nullptr || !Memory::keeps(request)) return answer;
  if (answer.ok()) {
    options_.memory->keep_answer(request, *answer);
  } else if (answer.error().code == Code::kNotFound) {
    options_.memory->forget_answer(request);
  } else if (is_absence(answer.error())) {
    if (ObjectRef last = options_.memory->answer(request)) {
      base::log(base::Level::kInfo, "client", "{}: {} is told from memory", answer.error().message,
                path_of(request));
      return last;
    }
  }
  return answer;
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
