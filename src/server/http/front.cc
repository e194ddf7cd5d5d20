#include "server/http/front.h"

#include <charconv>

#include "api/duration.h"
#include "api/protobuf/protobuf.h"
#include "api/selector.h"
#include "api/validation/errors.h"
#include "base/format.h"
#include "net/websocket.h"
#include "server/auth/refusal.h"
#include "server/cache/errors.h"
#include "server/http/impersonation.h"
#include "server/http/watch_stream.h"
#include "server/http/write_options.h"
#include "server/status/errors.h"

namespace knarr::server {
namespace {

constexpr size_t kAuditIdLimit = 64;
constexpr size_t kBodyLimit = 3 * 1024 * 1024;

Error body_too_large() {
  return make_error(Code::kRequestEntityTooLarge, "Request entity too large: limit is 3145728");
}

// What a list or watch asks for by its field selector; a selector that cannot be read is refused
// later, and narrows nothing.
void read_fields(Attributes& a, const net::Query& query) {
  bool many = a.verb == "list" || a.verb == "watch" || a.verb == "deletecollection";
  if (!many || !a.resource_request || query.get("fieldSelector").empty()) return;
  Result<api::FieldSelector> selector = api::FieldSelector::parse(query.get("fieldSelector"));
  if (!selector.ok()) return;
  for (const api::FieldTerm& term : selector->terms()) {
    if (term.equals) a.fields.emplace_back(term.path, term.value);
  }
  const std::string* name = selector->required("metadata.name");
  bool is_segment = name != nullptr && !name->empty() && *name != "." && *name != ".." &&
                    name->find_first_of("/%") == std::string::npos;
  if (a.name.empty() && is_segment) a.name = *name;
}

Attributes attributes_of(const RequestInfo& info, UserRef user) {
  Attributes a;
  a.user = std::move(user);
  a.verb = info.verb;
  a.resource_request = info.resource_request;
  a.path = info.path;
  a.group = info.group;
  a.version = info.version;
  a.resource = info.resource;
  a.subresource = info.subresource;
  a.ns = info.ns;
  a.name = info.name;
  return a;
}

// The kind of the bodies that an endpoint takes.
api::ProtobufKind kind_expected(std::string_view verb, const api::ResourceInfo& resource,
                                const api::Subresource* sub) {
  if (verb == "delete" || verb == "deletecollection") return {"", "v1", "DeleteOptions"};
  if (sub != nullptr) return {sub->group, sub->version, sub->kind};
  return {resource.group, resource.version, resource.kind};
}

Result<std::string> json_of_protobuf(std::string_view body, const api::ProtobufKind& expected) {
  Result<json::Value> object = api::decode_protobuf(body, expected);
  if (object.ok()) return json::write(*object);
  return api::unrecognized_body(expected.kind, object.error().message, body);
}

// Whether what is shown is as new as a GET asks for.
Result<void> check_fresh(std::string_view version, const Cache& cache) {
  if (version.empty()) return {};
  kv::Revision revision = 0;
  auto [end, error] = std::from_chars(version.data(), version.data() + version.size(), revision);
  bool digits = version.find_first_not_of("0123456789") == std::string_view::npos;
  if (!digits || error != std::errc()) {
    return make_error(
        Code::kUnknown,
        fmt::format("resourceVersion: Invalid value: {}: strconv.ParseUint: parsing {}: {}",
                    api::go_quote(version), api::go_quote(version),
                    digits ? "value out of range" : "invalid syntax"));
  }
  if (revision > cache.revision()) return too_large_revision(revision, cache.revision());
  return {};
}

// A page whose state is forgotten brings a token to go on with all the same, in the newest state.
void refuse_list(const Reply& reply, const Error& error, const ListQuery& query) {
  if (error.code != Code::kExpired || !query.after) return send_status(reply, error);
  json::Value status = status_of(error);
  status.member("metadata").set("continue", continue_token(kInconsistent, *query.after));
  send_json(reply, http_status(error.code), json::write(status));
}

Result<ListQuery> list_query_of(const api::ResourceInfo& resource, const net::Query& query,
                                bool watch, std::string_view name) {
  RawListQuery raw;
  TRY_ASSIGN(raw, raw_list_query(query, watch, name));
  return parse_list_query(resource, raw);
}

// Refusals are final to who is told them: while tokens and roles are still being made, there are
// none.
Error starting() {
  Error error = make_error(Code::kServiceUnavailable, "the server is starting");
  auto details = std::make_shared<ErrorDetails>();
  details->retry_after_seconds = 1;
  error.details = std::move(details);
  return error;
}

UserRef anonymous() {
  static const UserRef user = [] {
    auto u = std::make_shared<UserInfo>();
    u->name = kAnonymousUser;
    u->groups = {kUnauthenticatedGroup};
    return u;
  }();
  return user;
}

}  // namespace

net::ServerLimits server_limits() {
  net::ServerLimits limits;
  // Who is little past it is told after he is known, and may go on with the connection.
  limits.body_bytes = kBodyLimit + kBodyLimit / 3;
  limits.too_large_type = content_type(api::Media::kJson);
  limits.too_large_body = status_json(body_too_large()) + "\n";
  return limits;
}

Front::Front(Deps deps, FrontOptions options)
    : deps_(std::move(deps)),
      options_(std::move(options)),
      discovery_(deps_.metrics != nullptr),
      core_(discovery_.aggregated(true)),
      groups_(discovery_.aggregated(false)),
      openapi_(deps_.registry),
      audit_ids_(deps_.random.next()) {}

void Front::handle(net::ExchangePtr exchange) {
  auto call = std::make_shared<Call>();
  net::Headers& headers = exchange->request.headers;
  std::string_view id = headers.get(kAuditId);
  if (id.empty() || id.size() > kAuditIdLimit) {
    headers.set(kAuditId,
                id.empty() ? audit_ids_.uuid() : std::string(id.substr(0, kAuditIdLimit)));
  }
  call->query = net::Query::parse(exchange->request.query);
  call->exchange = exchange;
  Result<RequestInfo> info =
      parse_request(exchange->request.method, exchange->request.path, call->query);
  if (!info.ok()) return send_error(exchange, info.error());
  call->info = *std::move(info);
  if (call->info.path == "/cacerts" && !options_.ca_pem.empty()) {
    return send_text(exchange, 200, options_.ca_pem);
  }
  if (std::string_view timeout = call->query.get("timeout"); !timeout.empty()) {
    Result<int64_t> parsed = api::parse_duration(timeout);
    if (!parsed.ok()) {
      return send_error(exchange, bad_request("invalid timeout specified in the request URL - " +
                                              parsed.error().message));
    }
  }
  deps_.authenticator.authenticate(exchange->request, [this, call](Result<UserRef> user) {
    if (!user.ok()) return send_error(call->exchange, ready() ? unauthorized() : starting());
    call->user = *user == nullptr ? anonymous() : *std::move(user);
    authenticated(call);
  });
}

void Front::authenticated(const CallPtr& call) {
  const std::string& protocol = call->exchange->request.protocol;
  bool tunnel =
      deps_.tunnels != nullptr && !protocol.empty() && protocol != net::kWebSocketProtocol;
  if (tunnel) return deps_.tunnels->accept(call->exchange, call->user);
  Attributes attributes = attributes_of(call->info, call->user);
  read_fields(attributes, call->query);
  const net::Headers& headers = call->exchange->request.headers;
  if (asks_to_impersonate(headers)) {
    Result<Impersonation> other = impersonate(headers, attributes, deps_.authorizer);
    if (!other.ok()) return send_error(call->exchange, other.error());
    if (other->user == nullptr) {
      return send_error(call->exchange, refusal(other->refused, other->decision));
    }
    attributes.user = call->user = other->user;
    drop_impersonation(call->exchange->request.headers);
  }
  Decision decision = deps_.authorizer.authorize(attributes);
  if (!decision.allowed) {
    return send_error(call->exchange, ready() ? refusal(attributes, decision) : starting());
  }
  if (call->exchange->request.body.size() > kBodyLimit) {
    return send_error(call->exchange, body_too_large());
  }
  if (call->info.resource_request) return serve_resource(call);
  serve_path(call);
}

void Front::serve_resource(const CallPtr& call) {
  const RequestInfo& info = call->info;
  const net::ExchangePtr& exchange = call->exchange;
  if (!info.group.empty() && !discovery_.has_group(info.group)) {
    return send_text(exchange, 404, "404 page not found\n");
  }
  const api::ResourceInfo* resource = api::find_resource(info.group, info.version, info.resource);
  if (resource == nullptr || info.too_deep || info.path.find("//") != std::string::npos) {
    return send_error(exchange, unknown_path());
  }
  if (!info.subresource.empty()) {
    call->sub = resource->subresource(info.subresource);
    if (call->sub == nullptr) return send_error(exchange, unknown_path());
  }
  call->resource = resource;
  bool is_namespace = info.group.empty() && info.resource == "namespaces";
  bool scoped = !info.ns.empty() && !is_namespace;
  if (resource->namespaced ? (!scoped && !info.name.empty()) : scoped) {
    return send_error(exchange, unknown_path());
  }
  if (info.name == "." || info.name == "..") {
    return send_error(exchange, bad_request(fmt::format("Name parameter invalid: \"{}\": may not "
                                                        "be '{}'",
                                                        info.name, info.name)));
  }
  if (info.name.find('/') != std::string::npos) return send_error(exchange, unknown_path());
  // What is only ever created (reviews, bindings) has no path by name.
  bool has_items = resource->stored || resource->can(api::kVerbGet);
  if (!has_items && !info.name.empty()) return send_error(exchange, unknown_path());
  std::optional<api::VerbBit> verb = verb_bit(info.verb, exchange->request.method);
  uint16_t allowed = call->sub != nullptr ? call->sub->verbs : resource->verbs;
  bool everywhere = resource->namespaced && !scoped && verb &&
                    (*verb == api::kVerbCreate || *verb == api::kVerbDeleteCollection);
  if (info.verb == "create" && !info.name.empty() && call->sub == nullptr) verb.reset();
  if (info.verb == "update" && info.name.empty()) verb.reset();
  if (info.verb == "patch" && info.name.empty()) verb.reset();
  bool watched = info.verb == "watch" && call->sub == nullptr && resource->can(api::kVerbWatch);
  if (info.verb == "watch" && !watched) return send_error(exchange, method_not_allowed());
  const std::string& method = exchange->request.method;
  bool proxied = call->sub != nullptr && call->sub->name == "proxy" &&
                 (method == "HEAD" || method == "OPTIONS");
  if (proxied) return serve_node(call);
  if (!verb || everywhere || (!watched && (allowed & *verb) == 0)) {
    return send_error(exchange, method_not_allowed());
  }
  if (is_node_subresource(*resource, call->sub)) {
    Result<void> may = may_stream(*call);
    if (!may.ok()) return send_error(exchange, may.error());
    return serve_node(call);
  }

  Result<Wanted> wanted = negotiate(exchange->request.headers.get("Accept"),
                                    info.verb == "watch" ? Accepts::kStream : Accepts::kForms);
  if (!wanted.ok()) return send_error(exchange, wanted.error());
  Reply reply;
  reply.exchange = exchange;
  reply.wanted = *wanted;
  reply.clock = &deps_.registry.clock();
  reply.include_object = call->query.get("includeObject");
  if (std::string_view text = deprecation_of(*resource); !text.empty()) {
    reply.warnings.emplace_back(text);
  }
  if (resource->group == "metrics.k8s.io") return serve_metrics(call, std::move(reply));
  bool read = info.verb == "get" || info.verb == "list" || info.verb == "watch";
  if (read) return serve_read(call, std::move(reply));
  serve_write(call, std::move(reply));
}

void Front::serve_read(const CallPtr& call, Reply reply) {
  const RequestInfo& info = call->info;
  Request request;
  request.resource = call->resource;
  request.sub = call->sub;
  request.ns = info.ns;
  request.name = info.name;
  request.user = call->user;
  int64_t now_us = deps_.registry.clock().now_us();
  if (info.verb == "get") {
    Result<void> fresh = check_fresh(call->query.get("resourceVersion"), deps_.registry.cache());
    if (!fresh.ok()) return send_status(reply, fresh.error());
    Result<Answer> answer = deps_.registry.get_subresource(request);
    if (!answer.ok()) return send_status(reply, answer.error());
    if (answer->object == nullptr) {
      return send_virtual(reply, 200, std::move(answer->json), now_us);
    }
    return send_object(reply, 200, *call->resource, answer->object, now_us);
  }
  bool watch = info.verb == "watch";
  request.name.clear();
  Result<ListQuery> query = list_query_of(*call->resource, call->query, watch, info.name);
  if (!query.ok()) return send_status(reply, query.error());
  if (!watch) {
    Result<ListPage> page = deps_.registry.list(request, *query);
    if (!page.ok()) return refuse_list(reply, page.error(), *query);
    return send_list(reply, *call->resource, *std::move(page), now_us);
  }
  // Watches that name no time end after 30 to 60 minutes, not all at once.
  int64_t timeout_ms = query->timeout_seconds > 0
                           ? query->timeout_seconds * 1000
                           : static_cast<int64_t>(1800000 + deps_.random.below(1800000));
  stream_watch(deps_.registry, std::move(reply), request, *query, timeout_ms);
}

void Front::serve_write(const CallPtr& call, Reply reply) {
  net::Request& http = call->exchange->request;
  auto request = std::make_shared<Request>();
  request->resource = call->resource;
  request->sub = call->sub;
  request->ns = call->info.ns;
  request->name = call->info.name;
  request->user = call->user;
  request->user_agent = http.headers.get("User-Agent");
  Result<void> options = read_write_options(call->query, call->info.verb, *request);
  if (!options.ok()) return send_status(reply, options.error());

  Body body;
  if (call->info.verb == "patch") {
    std::optional<client::PatchType> type = patch_type_of(http.headers.get("Content-Type"));
    if (!type) {
      Error error = unsupported_media_type();
      error.message = "415: Unsupported Media Type";
      error.details = std::make_shared<ErrorDetails>();
      return send_status(reply, error);
    }
  } else if (is_protobuf(http.headers.get("Content-Type")) &&
             (!http.body.empty() || call->info.verb == "create" || call->info.verb == "update")) {
    Result<std::string> json =
        json_of_protobuf(http.body, kind_expected(call->info.verb, *call->resource, call->sub));
    if (!json.ok()) return send_status(reply, json.error());
    http.body = *std::move(json);
  } else if (!http.body.empty()) {
    std::optional<api::Media> media = media_of(http.headers.get("Content-Type"));
    if (!media) return send_status(reply, unsupported_media_type());
    body.media = *media;
  }
  body.bytes = std::move(http.body);
  run_write(call, std::move(reply), std::move(request), std::move(body));
}

void Front::run_write(const CallPtr& call, Reply reply, RequestPtr request, Body body) {
  const std::string& verb = call->info.verb;
  Done done = [this, call, reply, request](Result<Answer> answer) mutable {
    for (std::string& w : request->warnings) reply.warnings.push_back(std::move(w));
    if (!answer.ok()) return send_status(reply, answer.error());
    int64_t now_us = deps_.registry.clock().now_us();
    if (answer->object == nullptr) {
      return send_virtual(reply, answer->code, std::move(answer->json), now_us);
    }
    send_object(reply, answer->code, *call->resource, answer->object, now_us);
  };
  if (verb == "create") {
    return deps_.registry.create(std::move(request), std::move(body), std::move(done));
  }
  if (verb == "update") {
    return deps_.registry.update(std::move(request), std::move(body), std::move(done));
  }
  if (verb == "patch") {
    client::PatchType type = *patch_type_of(call->exchange->request.headers.get("Content-Type"));
    return deps_.registry.patch(std::move(request), type, std::move(body), std::move(done));
  }
  if (body.bytes.empty()) {
    Result<std::string> options = delete_options_of(call->query);
    if (!options.ok()) return send_status(reply, options.error());
    body.bytes = *std::move(options);
  }
  if (verb == "delete") {
    return deps_.registry.remove(std::move(request), std::move(body), std::move(done));
  }
  Result<ListQuery> query = list_query_of(*call->resource, call->query, false, "");
  if (!query.ok()) return send_status(reply, query.error());
  deps_.registry.remove_collection(std::move(request), std::move(body), *query, std::move(done));
}

// A WebSocket is opened by GET, yet who may only read may not run commands.
// Ref: the feature gate AuthorizePodWebsocketUpgradeCreatePermission, on by default.
Result<void> Front::may_stream(const Call& call) {
  std::string_view sub = call.info.subresource;
  bool streams = sub == "exec" || sub == "attach" || sub == "portforward";
  if (!streams || call.info.verb == "create") return {};
  Attributes attributes = attributes_of(call.info, call.user);
  attributes.verb = "create";
  Decision decision = deps_.authorizer.authorize(attributes);
  if (decision.allowed) return {};
  return refusal(attributes, decision);
}

void Front::serve_node(const CallPtr& call) {
  const RequestInfo& info = call->info;
  Request request;
  request.resource = call->resource;
  request.ns = info.ns;
  request.name = info.name;
  if (info.subresource == "proxy") request.name = proxied_name(info.name);
  Result<ObjectRef> object = deps_.registry.get(request);
  if (!object.ok()) return send_error(call->exchange, object.error());
  if (deps_.nodes == nullptr) {
    return send_error(call->exchange,
                      make_error(Code::kServiceUnavailable, "no node can be reached"));
  }
  NodeRequest node;
  node.kind = node_kind(*call->resource, info.subresource);
  node.object = *std::move(object);
  node.name = info.name;
  node.path = info.rest;
  node.query = call->query;
  node.user = call->user;
  deps_.nodes->handle(call->exchange, std::move(node));
}

}  // namespace knarr::server
