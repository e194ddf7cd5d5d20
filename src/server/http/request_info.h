// What a URL asks for: a resource, its name and subresource and the verb, or a path outside the
// resources. Pure.
#pragma once

#include <string>
#include <string_view>

#include "knarr/result.h"
#include "net/url.h"

namespace knarr::server {

struct RequestInfo {
  bool resource_request = false;
  std::string path;  // as sent
  std::string verb;  // "get", "list", ...; the lower-case method for other paths
  std::string group;
  std::string version;
  std::string ns;
  std::string resource;
  std::string name;
  std::string subresource;
  std::string rest;  // behind a proxy subresource, as sent: "/metrics"
  // More segments than a resource has: nothing is served there.
  bool too_deep = false;
};

// kBadRequest when the path cannot be decoded.
Result<RequestInfo> parse_request(std::string_view method, std::string_view path,
                                  const net::Query& query);

// What a query parameter means as a boolean, as Go's API machinery converts it.
bool query_bool(const net::Query& query, std::string_view name);

}  // namespace knarr::server
