#include "server/http/openapi.h"

#include <ctime>

#include "base/format.h"
#include "net/url.h"
#include "server/http/body.h"
#include "server/http/digest.h"
#include "server/http/media.h"
#include "server/http/reply.h"

namespace knarr::server {
namespace {

constexpr std::string_view kPrefix = "/openapi/v3";
constexpr std::string_view kProtobuf = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
constexpr std::string_view kProtobufOld =
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
constexpr int64_t kYearSeconds = 365 * 24 * 3600;

std::string http_date(int64_t seconds) {
  std::time_t at = seconds;
  std::tm parts{};
  gmtime_r(&at, &parts);
  char text[64];
  std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S UTC", &parts);
  return text;
}

void not_acceptable_here(const net::ExchangePtr& exchange) {
  Reply reply;
  reply.exchange = exchange;
  exchange->respond(406, answer_headers(reply, ""), {});
}

// 304 when the client has it already.
void send_document(const net::ExchangePtr& exchange, net::Headers headers, std::string etag,
                   std::string body) {
  etag = fmt::format("\"{}\"", etag);
  headers.add("ETag", etag);
  if (exchange->request.headers.get("If-None-Match") == etag) {
    headers.remove("Content-Type");
    return exchange->respond(304, std::move(headers), {});
  }
  send_body(exchange, 200, std::move(headers), std::move(body));
}

}  // namespace

OpenApi::OpenApi(Registry& registry) : registry_(registry) {
  source_.resources = api::builtin_resources();
  source_.returns_deleted = [this](const api::ResourceInfo& resource) {
    return registry_.traits(resource).returns_deleted;
  };
}

const std::string& OpenApi::hash_of(const std::string& name) {
  std::string& hash = hashes_[name];
  if (hash.empty()) {
    hash = sha512_hex(name.empty() ? api::openapi_v2(source_) : api::openapi_v3(source_, name));
  }
  return hash;
}

bool OpenApi::serve(const net::ExchangePtr& exchange, std::string_view path) {
  if (path == "/openapi/v2") {
    serve_v2(exchange);
  } else if (path == kPrefix || path == "/openapi/v3/") {
    serve_index(exchange);
  } else if (path.starts_with("/openapi/v3/")) {
    serve_v3(exchange, path.substr(kPrefix.size() + 1));
  } else {
    return false;
  }
  return true;
}

void OpenApi::serve_v2(const net::ExchangePtr& exchange) {
  Reply reply;
  reply.exchange = exchange;
  std::string_view accept = exchange->request.headers.get("Accept");
  std::optional<std::string_view> type =
      accepted_type(accept, {"application/json", kProtobuf, kProtobufOld});
  if (!type) return not_acceptable_here(exchange);
  bool json = *type == "application/json";
  net::Headers headers = answer_headers(reply, json ? *type : kProtobuf);
  headers.add("Vary", "Accept");
  std::string etag = hash_of("");
  if (!json) etag = etag.substr(0, etag.size() / 2);
  send_document(exchange, std::move(headers), std::move(etag),
                json ? api::openapi_v2(source_) : api::openapi_v2_protobuf(source_));
}

void OpenApi::serve_index(const net::ExchangePtr& exchange) {
  json::Value paths = json::Value::object();
  for (const std::string& name : api::openapi_v3_names(source_)) {
    std::string url = fmt::format("{}/{}?hash={}", kPrefix, name, hash_of(name));
    paths.set(name, json::Value::object({{"serverRelativeURL", url}}));
  }
  std::string body = json::write(json::Value::object({{"paths", std::move(paths)}}));
  Reply reply;
  reply.exchange = exchange;
  // Upstream leaves the type to be guessed from the content, and so do its clients.
  net::Headers headers = answer_headers(reply, "text/plain; charset=utf-8");
  std::string etag = sha512_hex(body);
  send_document(exchange, std::move(headers), std::move(etag), std::move(body));
}

void OpenApi::serve_v3(const net::ExchangePtr& exchange, std::string_view name) {
  Reply reply;
  reply.exchange = exchange;
  if (!accepted_type(exchange->request.headers.get("Accept"), {"application/json"})) {
    return not_acceptable_here(exchange);
  }
  std::string body = api::openapi_v3(source_, name);
  if (body.empty()) return exchange->respond(404, answer_headers(reply, ""), {});
  std::string etag = sha512_hex(body);
  net::Query query = net::Query::parse(exchange->request.query);
  net::Headers headers = answer_headers(reply, "application/json");
  if (std::string_view hash = query.get("hash"); !hash.empty()) {
    if (hash != etag) {
      headers.set("Location", fmt::format("{}/{}?hash={}", kPrefix, name, etag));
      headers.remove("Content-Type");
      return exchange->respond(301, std::move(headers), {});
    }
    int64_t now = registry_.clock().now_us() / 1000000;
    headers.set("Cache-Control", "public, immutable");
    headers.add("Expires", http_date(now + kYearSeconds));
    headers.add("Vary", "Accept");
  }
  send_document(exchange, std::move(headers), std::move(etag), std::move(body));
}

}  // namespace knarr::server
