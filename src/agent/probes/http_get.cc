#include "agent/probes/http_get.h"

#include <utility>
#include <vector>

#include "base/format.h"
#include "net/url.h"

namespace knarr::agent {

namespace {

constexpr size_t kMaxBody = 10 * 1024;
constexpr int kMaxRedirects = 10;

bool redirects(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// "/a/b/../c" is "/a/c".
std::string without_dots(std::string_view path) {
  std::vector<std::string_view> parts;
  bool folder = false;
  for (size_t begin = 1; begin <= path.size();) {
    size_t end = std::min(path.find('/', begin), path.size());
    std::string_view part = path.substr(begin, end - begin);
    folder = part == "." || part == "..";
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
    } else if (part != ".") {
      parts.push_back(part);
    }
    begin = end + 1;
  }
  std::string out;
  for (std::string_view part : parts) out += "/" + std::string(part);
  if (folder || out.empty()) out += "/";
  return out;
}

bool has_scheme(std::string_view location) {
  size_t colon = location.find(':');
  return colon != std::string_view::npos && colon > 0 && colon < location.find_first_of("/?#");
}

}  // namespace

std::string redirect_target(const std::string& url, std::string_view location) {
  location = location.substr(0, location.find('#'));
  if (has_scheme(location)) return std::string(location);
  size_t authority = url.find("://");
  authority = authority == std::string::npos ? 0 : authority + 3;
  if (location.starts_with("//")) return url.substr(0, authority - 2) + std::string(location);
  size_t path = std::min(url.find_first_of("/?#", authority), url.size());
  std::string origin = url.substr(0, path);
  std::string from = url.substr(path, url.find_first_of("?#", path) - path);
  if (from.empty()) from = "/";
  if (location.empty()) return url;
  if (location[0] == '?') return origin + from + std::string(location);
  size_t query = std::min(location.find('?'), location.size());
  std::string to(location.substr(0, query));
  if (to[0] != '/') to = from.substr(0, from.rfind('/') + 1) + to;
  return origin + without_dots(to) + std::string(location.substr(query));
}

HttpGet::HttpGet(net::Client& client, Clock& clock, std::string url, net::Headers headers,
                 int64_t timeout_ms, Done done)
    : client_(client),
      url_(std::move(url)),
      headers_(std::move(headers)),
      done_(std::move(done)),
      deadline_(clock.timer([this] {
        fail(answer_.status == 0
                 ? "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
                 : "context deadline exceeded (Client.Timeout or context cancellation while "
                   "reading body)");
      })) {
  deadline_->start(timeout_ms);
  send();
}

void HttpGet::send() {
  net::ClientRequest request;
  request.url = url_;
  request.headers = headers_;
  net::ResponseEvents events;
  events.on_headers = [this](int status, const net::Headers& headers) {
    answered(status, headers);
  };
  events.on_data = [this](std::string_view bytes) {
    answer_.body += bytes.substr(0, kMaxBody - answer_.body.size());
    if (answer_.body.size() >= kMaxBody) finish(std::move(answer_));
  };
  events.on_end = [this](const net::Headers&) { finish(std::move(answer_)); };
  events.on_error = [this](const Error& error) { fail(error.message); };
  call_ = client_.send(std::move(request), std::move(events));
}

void HttpGet::answered(int status, const net::Headers& headers) {
  answer_.status = status;
  std::string_view location = headers.get("location");
  if (!redirects(status) || location.empty()) return;
  std::string to = redirect_target(url_, location);
  auto from_url = net::parse_url(url_), to_url = net::parse_url(to);
  if (!to_url.ok()) return fail(fmt::format("failed to parse Location header \"{}\"", location));
  if (from_url.ok() && from_url->host != to_url->host) return;
  if (++redirects_ >= kMaxRedirects) return fail("stopped after 10 redirects");
  url_ = std::move(to);
  answer_ = {};
  call_.reset();
  send();
}

void HttpGet::fail(const std::string& message) {
  finish(make_error(Code::kServiceUnavailable, fmt::format("Get \"{}\": {}", url_, message)));
}

// The last of this: what it calls may be its end.
void HttpGet::finish(Result<HttpAnswer> result) {
  call_.reset();
  deadline_->stop();
  Done done = std::exchange(done_, nullptr);
  if (done) done(std::move(result));
}

}  // namespace knarr::agent
