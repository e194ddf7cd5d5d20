// Blocking HTTP(S) for the registry client: redirects, certificate checks against the system's and
// configured authorities, and errors in the words Go's client has, which users of Kubernetes know.
// One thread at a time; cancelled from any.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "knarr/result.h"
#include "runtime/image/cancel.h"
#include "runtime/image/registries.h"

namespace knarr::runtime {

struct HttpUrl {
  bool tls = false;
  std::string host;  // an IPv6 address without its brackets
  int port = 0;
  std::string target;  // path and query, never empty

  std::string authority() const;  // "host:port", the port left out when it is the scheme's
  std::string text() const;
};

// kInvalid: not an absolute http or https URL.
Result<HttpUrl> parse_url(std::string_view text);
// What a Location header means on a page of `base`.
Result<HttpUrl> resolve_location(const HttpUrl& base, std::string_view location);

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;  // of a POST: a form
};

struct HttpResponse {
  int status = 0;
  std::multimap<std::string, std::string> headers;  // names in lower case
  std::string body;                                 // what no sink took
  std::string url;                                  // after redirects

  std::string header(const std::string& name) const;  // the first; empty when absent
  std::string status_text() const;                    // "404 Not Found"
};

using BodySink = std::function<Result<void>(std::string_view bytes)>;

class HttpClient {
 public:
  HttpClient(RegistryTls tls, CancelToken& cancel);
  ~HttpClient();

  // Any status is an answer. Errors: kServiceUnavailable when the peer can't be reached or breaks
  // off, kCanceled, or the sink's own. `sink` gets the body of a 200 or 206; `on_head` is asked
  // before it. Without a sink a body past body_limit is an error.
  struct Receiver {
    std::function<Result<void>(const HttpResponse& head)> on_head;
    BodySink sink;
  };
  Result<HttpResponse> send(const HttpRequest& request, const Receiver* receiver = nullptr);

 private:
  struct Connections;
  Result<HttpResponse> send_once(const HttpRequest& request, const HttpUrl& url,
                                 const Receiver* receiver);

  RegistryTls tls_;
  CancelToken& cancel_;
  std::unique_ptr<Connections> connections_;
};

}  // namespace knarr::runtime
