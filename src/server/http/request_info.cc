#include "server/http/request_info.h"

#include <algorithm>
#include <vector>

#include "base/ascii.h"

namespace knarr::server {
namespace {

Result<std::vector<std::string>> segments_of(std::string_view path) {
  std::vector<std::string> out;
  while (!path.empty() && path.front() == '/') path.remove_prefix(1);
  while (!path.empty() && path.back() == '/') path.remove_suffix(1);
  while (!path.empty()) {
    size_t slash = path.find('/');
    std::string segment;
    TRY_ASSIGN(segment, net::percent_decode(path.substr(0, slash)));
    out.push_back(std::move(segment));
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  return out;
}

// The path behind that many segments, as it was sent: who it is passed on to decodes it.
std::string raw_tail(std::string_view path, size_t segments) {
  size_t at = path.find_first_not_of('/');
  for (; segments > 1 && at != std::string_view::npos; segments--) {
    at = path.find('/', at);
    if (at != std::string_view::npos) at++;
  }
  if (at != std::string_view::npos) at = path.find('/', at);
  return at == std::string_view::npos ? std::string() : std::string(path.substr(at));
}

std::string verb_of(std::string_view method, bool named, bool watch) {
  if (method == "POST") return "create";
  if (method == "PUT") return "update";
  if (method == "PATCH") return "patch";
  if (method == "DELETE") return named ? "delete" : "deletecollection";
  if (method == "GET" || method == "HEAD") return named ? "get" : watch ? "watch" : "list";
  return base::lower(method);
}

}  // namespace

bool query_bool(const net::Query& query, std::string_view name) {
  if (!query.has(name)) return false;
  std::string value = base::lower(query.get(name));
  return value != "false" && value != "0";
}

Result<RequestInfo> parse_request(std::string_view method, std::string_view path,
                                  const net::Query& query) {
  RequestInfo info;
  info.path = path;
  info.verb = base::lower(method);
  std::vector<std::string> s;
  TRY_ASSIGN(s, segments_of(path));
  size_t at = 0;
  if (s.size() >= 3 && s[0] == "api") {
    info.version = s[1];
    at = 2;
  } else if (s.size() >= 4 && s[0] == "apis") {
    info.group = s[1];
    info.version = s[2];
    at = 3;
  } else {
    return info;
  }
  info.resource_request = true;
  bool watch = query_bool(query, "watch");
  if (s[at] == "watch" && s.size() > at + 1) {
    at++;
    watch = true;
    info.verb = "watch";
  }
  bool prefixed = info.verb == "watch";
  if (s[at] == "namespaces" && s.size() > at + 1) {
    bool own = s.size() == at + 2 || s[at + 2] == "status" || s[at + 2] == "finalize";
    info.ns = s[at + 1];
    if (!own) at += 2;
  }
  info.resource = s[at];
  if (s.size() > at + 1) info.name = s[at + 1];
  if (s.size() > at + 2) info.subresource = s[at + 2];
  if (s.size() > at + 3) {
    if (info.subresource == "proxy") {
      info.rest = raw_tail(path, at + 3);
    } else {
      info.too_deep = true;
    }
  }
  if (!prefixed) info.verb = verb_of(method, !info.name.empty(), watch);
  return info;
}

}  // namespace knarr::server
