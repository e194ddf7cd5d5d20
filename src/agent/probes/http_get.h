// One GET as a kubelet makes it for probes and hooks: redirects are followed on the same host only
// (what leads elsewhere is the answer), a certificate is not looked at, and of the body the first
// 10 KiB are read. Loop thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "knarr/clock.h"
#include "net/client.h"

namespace knarr::agent {

struct HttpAnswer {
  int status = 0;
  std::string body;
};

// Cancelled when destroyed.
class HttpGet {
 public:
  // The error's message is in Go's words: `Get "http://...": ...`.
  using Done = std::function<void(Result<HttpAnswer>)>;
  // timeout_ms is for all of it. `done` may destroy this; it is never called from within.
  HttpGet(net::Client& client, Clock& clock, std::string url, net::Headers headers,
          int64_t timeout_ms, Done done);

 private:
  void send();
  void answered(int status, const net::Headers& headers);
  void finish(Result<HttpAnswer> result);
  void fail(const std::string& message);

  net::Client& client_;
  std::string url_;
  net::Headers headers_;
  Done done_;
  HttpAnswer answer_;
  int redirects_ = 0;
  std::unique_ptr<net::Call> call_;
  std::unique_ptr<Timer> deadline_;
};

// Where a Location leads from a URL (RFC 3986, 5.2).
std::string redirect_target(const std::string& url, std::string_view location);

}  // namespace knarr::agent
