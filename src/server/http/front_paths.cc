// Everything outside the resources: discovery, health, version, metrics, OpenAPI, OpenID documents.

#include <algorithm>
#include <array>

#include "base/format.h"
#include "server/http/front.h"
#include "server/status/errors.h"

namespace knarr::server {
namespace {

constexpr std::array<std::string_view, 4> kChecks = {"ping", "log", "etcd", "informer-sync"};

std::string version_json(const std::string& git_version) {
  return json::write(json::Value::object({{"major", "1"},
                                          {"minor", "36"},
                                          {"gitVersion", git_version},
                                          {"gitCommit", ""},
                                          {"gitTreeState", "clean"},
                                          {"buildDate", "1970-01-01T00:00:00Z"},
                                          {"goVersion", ""},
                                          {"compiler", ""},
                                          {"platform", "linux/amd64"}}));
}

bool ends_path(std::string& path) {
  if (path.size() > 1 && path.back() == '/') path.pop_back();
  return true;
}

std::vector<std::string_view> segments(std::string_view path) {
  std::vector<std::string_view> out;
  while (!path.empty() && path.front() == '/') path.remove_prefix(1);
  while (!path.empty()) {
    size_t slash = path.find('/');
    out.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  return out;
}

}  // namespace

void Front::reply_discovery(const CallPtr& call, std::string json) {
  Reply reply;
  reply.exchange = call->exchange;
  Result<Wanted> wanted =
      negotiate(call->exchange->request.headers.get("Accept"), Accepts::kPlainOnly);
  if (!wanted.ok()) return send_error(call->exchange, wanted.error());
  reply.wanted = *wanted;
  const std::string& method = call->exchange->request.method;
  if (method != "GET" && method != "HEAD") {
    return send_error(call->exchange, method_not_allowed());
  }
  send_json(reply, 200, std::move(json));
}

bool Front::serve_discovery(const CallPtr& call) {
  std::string path = call->info.path;
  ends_path(path);
  std::vector<std::string_view> s = segments(path);
  if (s.empty() || (s[0] != "api" && s[0] != "apis")) return false;
  bool core = s[0] == "api";
  if (s.size() == 1) {
    std::string_view accept = call->exchange->request.headers.get("Accept");
    Result<Wanted> wanted = negotiate(accept, Accepts::kDiscovery);
    if (!wanted.ok()) {
      if (core) wanted = negotiate(accept, Accepts::kPlainOnly);
      if (!wanted.ok()) {
        send_error(call->exchange, wanted.error());
        return true;
      }
    }
    Reply reply;
    reply.exchange = call->exchange;
    reply.wanted = *wanted;
    if (wanted->form != Form::kDiscovery) {
      send_json(reply, 200, core ? api_versions_json(options_.advertised) : discovery_.groups());
      return true;
    }
    const AggregatedDiscovery& all = core ? core_ : groups_;
    net::Headers headers = answer_headers(
        reply, "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
    headers.add("ETag", all.etag);
    headers.add("Vary", "Accept");
    if (call->exchange->request.headers.get("If-None-Match") == all.etag) {
      call->exchange->respond(304, std::move(headers), {});
      return true;
    }
    call->exchange->respond(200, std::move(headers), all.json);
    return true;
  }
  if (!core && !discovery_.has_group(s[1])) return false;
  std::string json;
  if (core && s.size() == 2) json = discovery_.resources("", s[1]);
  if (!core && s.size() == 2) json = discovery_.group(s[1]);
  if (!core && s.size() == 3) json = discovery_.resources(s[1], s[2]);
  if (json.empty()) {
    send_error(call->exchange, unknown_path());
  } else {
    reply_discovery(call, std::move(json));
  }
  return true;
}

bool Front::serve_health(const CallPtr& call) {
  std::vector<std::string_view> s = segments(call->info.path);
  if (s.empty() || (s[0] != "healthz" && s[0] != "livez" && s[0] != "readyz") || s.size() > 2) {
    return false;
  }
  if (s.size() == 2 && std::find(kChecks.begin(), kChecks.end(), s[1]) == kChecks.end()) {
    return false;
  }
  bool ready = s[0] != "readyz" || this->ready();
  std::string text = "ok";
  if (call->query.has("verbose") || !ready) {
    text.clear();
    for (std::string_view check : kChecks) {
      bool fine = ready || check != "informer-sync";
      text += fmt::format("[{}]{} {}\n", fine ? "+" : "-", check,
                          fine ? "ok" : "failed: reason withheld");
    }
    text += fmt::format("{} check {}\n", s[0], ready ? "passed" : "failed");
  }
  send_text(call->exchange, ready ? 200 : 500, std::move(text));
  return true;
}

void Front::serve_path(const CallPtr& call) {
  std::string path = call->info.path;
  ends_path(path);
  Reply reply;
  reply.exchange = call->exchange;
  if (path == "/version") return send_json(reply, 200, version_json(options_.git_version));
  if (serve_discovery(call) || serve_health(call) || openapi_.serve(call->exchange, path)) return;
  if (path == "/metrics") {
    std::string text = fmt::format("# TYPE knarr_store_revision gauge\nknarr_store_revision {}\n",
                                   deps_.registry.cache().revision());
    return send_text(call->exchange, 200, std::move(text));
  }
  if (deps_.tokens != nullptr && path == "/.well-known/openid-configuration") {
    return send_json(reply, 200, deps_.tokens->openid_configuration());
  }
  if (deps_.tokens != nullptr && path == "/openid/v1/jwks") {
    net::Headers headers = answer_headers(reply, "application/jwk-set+json");
    return call->exchange->respond(200, std::move(headers), deps_.tokens->jwks());
  }
  send_text(call->exchange, 404, "404 page not found\n");
}

}  // namespace knarr::server
