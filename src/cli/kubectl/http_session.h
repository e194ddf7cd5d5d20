// Blocking HTTP to one server: keep-alive, TLS with a client certificate from memory, answers whole
// or as a stream. One thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/kubectl/kubeconfig.h"
#include "knarr/result.h"

namespace knarr::kubectl {

struct HttpAsk {
  std::string method = "GET";
  std::string target;  // path and query
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};

struct HttpAnswer {
  int status = 0;
  std::string content_type;
  std::vector<std::string> warnings;  // Warning headers, as sent
  std::string body;
};

// Gets the body of a 2xx answer piece by piece; false ends it.
using HttpSink = std::function<bool(std::string_view bytes)>;

class HttpSession {
 public:
  // The error is about certificates and keys.
  static Result<std::unique_ptr<HttpSession>> open(const ClientConfig& config);
  ~HttpSession();

  // Any status is an answer. Errors are kServiceUnavailable, in kubectl's words.
  Result<HttpAnswer> send(const HttpAsk& ask, const HttpSink* sink = nullptr);

 private:
  struct Impl;
  explicit HttpSession(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The value of the Authorization header; empty when the config has neither token nor user.
std::string authorization(const ClientConfig& config);

// The authorities of this machine as PEM; empty when there are none.
std::string system_authorities();

}  // namespace knarr::kubectl
