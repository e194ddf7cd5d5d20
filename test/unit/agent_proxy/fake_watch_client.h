// A client whose watches are told by the test what there is.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/json.h"
#include "knarr/client.h"

namespace knarr::agent {

class FakeWatchClient final : public client::Client {
 public:
  void call(client::Request request, client::Reply reply) override {
    requests.push_back(request);
    reply(answer);
  }
  std::unique_ptr<client::Watch> watch(client::WatchTarget target,
                                       client::WatchHandler& handler) override {
    handlers[target.resource] = &handler;
    return std::make_unique<client::Watch>();
  }
  static ObjectRef object(const std::string& text) {
    auto json = json::parse(text);
    auto out = std::make_shared<Object>();
    out->name = {(*json)["metadata"]["namespace"].text(), (*json)["metadata"]["name"].text()};
    out->json = text;
    return out;
  }
  void put(const std::string& resource, const std::string& text) {
    handlers.at(resource)->on_upsert(object(text));
  }
  void remove(const std::string& resource, const std::string& text) {
    handlers.at(resource)->on_delete(object(text));
  }
  void sync() {
    for (auto& [resource, handler] : handlers) handler->on_synced();
  }

  std::map<std::string, client::WatchHandler*> handlers;
  std::vector<client::Request> requests;
  Result<ObjectRef> answer = ObjectRef();
};

}  // namespace knarr::agent
