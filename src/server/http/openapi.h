// The OpenAPI endpoints: /openapi/v2, /openapi/v3 and its documents, as api/openapi makes them.
// What is kept between requests is a hash a document; the documents are made each time. Loop
// thread.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "api/openapi/openapi.h"
#include "net/http.h"
#include "server/registry/registry.h"

namespace knarr::server {

class OpenApi {
 public:
  explicit OpenApi(Registry& registry);

  // Answers when the path is one of OpenAPI's; else false.
  bool serve(const net::ExchangePtr& exchange, std::string_view path);

 private:
  void serve_v2(const net::ExchangePtr& exchange);
  void serve_index(const net::ExchangePtr& exchange);
  void serve_v3(const net::ExchangePtr& exchange, std::string_view name);
  const std::string& hash_of(const std::string& name);

  Registry& registry_;
  api::OpenApiSource source_;
  std::map<std::string, std::string> hashes_;  // by document; "" is version 2
};

}  // namespace knarr::server
