#include "agent/remote/server_watch.h"

#include "api/view/meta.h"
#include "base/format.h"

namespace knarr::agent {

std::vector<std::string> server_urls(const json::Value& slice) {
  std::vector<std::string> urls;
  std::string_view type = slice["addressType"].as_string();
  if (type != "IPv4" && type != "IPv6") return urls;
  for (const json::Value& port : slice["ports"].elements()) {
    if (port["name"].as_string() != "https" || port["port"].as_int() == 0) continue;
    for (const json::Value& endpoint : slice["endpoints"].elements()) {
      if (!endpoint["conditions"]["ready"].as_bool(true)) continue;
      std::string_view address = endpoint["addresses"][0].as_string();
      if (address.empty()) continue;
      const char* open = type == "IPv6" ? "[" : "";
      const char* close = type == "IPv6" ? "]" : "";
      urls.push_back(fmt::format("https://{}{}{}:{}", open, address, close, port["port"].as_int()));
    }
  }
  return urls;
}

ServerWatch::ServerWatch(client::Client& client, std::shared_ptr<ServerBook> book)
    : book_(std::move(book)),
      watch_(client.watch({"discovery.k8s.io", "v1", "endpointslices", "default",
                           "kubernetes.io/service-name=kubernetes", ""},
                          *this)) {}

void ServerWatch::on_upsert(const ObjectRef& slice) {
  urls_[slice->name.name] = server_urls(api::decode(*slice));
  learn();
}

void ServerWatch::on_delete(const ObjectRef& last) {
  urls_.erase(last->name.name);
  learn();
}

void ServerWatch::on_synced() {
  synced_ = true;
  learn();
}

void ServerWatch::learn() {
  std::vector<std::string> all;
  for (const auto& [name, urls] : urls_) all.insert(all.end(), urls.begin(), urls.end());
  if (synced_ && !all.empty()) book_->learn(all);
}

}  // namespace knarr::agent
