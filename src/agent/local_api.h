// What the commands of this machine's root ask of a running knarr: images to list, import, pull and
// remove. HTTP over a unix socket that only its owner may open.
//
//   GET    /images                       [{"id", "repoTags", "repoDigests", "size"}]
//   POST   /images/import  {"path"}      the same list, of what was imported
//   POST   /images/pull    {"image"}     {"id"}
//   DELETE /images?image=<ref or id>     {}
#pragma once

#include <memory>
#include <string>

#include "base/loop.h"
#include "base/unique_fd.h"
#include "knarr/runtime.h"
#include "net/server.h"

namespace knarr::runtime {
class ImageStore;
}

namespace knarr::agent {

class LocalApi {
 public:
  // `changed` is called after images came or went.
  LocalApi(base::Loop& loop, runtime::ImageStore& images, runtime::Runtime& runtime,
           std::function<void()> changed);
  ~LocalApi();  // removes the socket

  Result<void> listen(const std::string& socket_path);

 private:
  void handle(const net::ExchangePtr& exchange);
  void list(const net::ExchangePtr& exchange);
  void import(const net::ExchangePtr& exchange, const std::string& path);
  void pull(const net::ExchangePtr& exchange, const std::string& image);
  void remove(const net::ExchangePtr& exchange, const std::string& image);

  base::Loop& loop_;
  runtime::ImageStore& images_;
  runtime::Runtime& runtime_;
  std::function<void()> changed_;
  net::Server server_;
  std::string socket_path_;
  base::UniqueFd listener_;
  std::unique_ptr<base::FdWatch> accept_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace knarr::agent
