// Tokens for service accounts, and the reviews that tell who someone is and what they may do.

#include "api/codec/encode.h"
#include "base/format.h"
#include "base/time.h"
#include "server/registry/subresources.h"
#include "server/status/errors.h"

namespace knarr::server {

using json::Value;

namespace {

Answer created(Value object) {
  Answer a;
  a.code = 201;
  a.json = json::write(object);
  return a;
}

Value user_json(const UserInfo& user) {
  Value v = Value::object();
  v.set("username", user.name);
  if (!user.uid.empty()) v.set("uid", user.uid);
  for (const std::string& g : user.groups) v.member("groups").push_back(g);
  for (const auto& [key, values] : user.extra) {
    Value& list = v.member("extra").member(key);
    for (const std::string& e : values) list.push_back(e);
  }
  return v;
}

// The object that a token shall live and die with.
Result<void> bind_subject(const RegistryDeps& deps, const Request& request, const Value& ref,
                          TokenSubject& subject) {
  if (ref.is_null()) return {};
  subject.bound_kind = ref["kind"].text();
  subject.bound_name = ref["name"].text();
  std::string plural = subject.bound_kind == "Pod"    ? "pods"
                       : subject.bound_kind == "Node" ? "nodes"
                                                      : "secrets";
  std::string ns = plural == "nodes" ? "" : request.ns;
  ObjectRef object = deps.cache.get({{"", plural}, {ns, subject.bound_name}});
  if (object == nullptr) return not_found("", plural, subject.bound_name);
  std::string uid = ref["uid"].text();
  if (!uid.empty() && uid != object->uid) {
    return conflict("", plural, subject.bound_name,
                    fmt::format("the UID in the bound object reference ({}) does not match the UID "
                                "in record. The object might have been deleted and then recreated",
                                uid));
  }
  subject.bound_uid = object->uid;
  if (const std::string* node = object->field("spec.nodeName");
      plural == "pods" && node != nullptr && !node->empty()) {
    subject.node_name = *node;
    ObjectRef n = deps.cache.get({{"", "nodes"}, {"", *node}});
    if (n != nullptr) subject.node_uid = n->uid;
  }
  return {};
}

}  // namespace

void create_token(const RegistryDeps& deps, const Request& request, Value body, Done done) {
  if (deps.tokens == nullptr) return done(unknown_path());
  ObjectRef account = deps.cache.get({{"", "serviceaccounts"}, {request.ns, request.name}});
  if (account == nullptr) return done(not_found("", "serviceaccounts", request.name));
  Value& spec = body.member("spec");
  int64_t seconds = spec["expirationSeconds"].as_int(3600);
  api::ErrorList errors;
  api::Path path = api::Path("spec") / "expirationSeconds";
  if (seconds < 600) {
    errors.invalid(path, spec["expirationSeconds"],
                   "may not specify a duration less than 10 minutes");
  } else if (seconds > int64_t{1} << 32) {
    errors.invalid(path, spec["expirationSeconds"],
                   "may not specify a duration larger than 2^32 seconds");
  }
  if (!errors.empty()) {
    return done(api::invalid_error("authentication.k8s.io", "TokenRequest", "", errors));
  }
  TokenSubject subject;
  subject.ns = request.ns;
  subject.service_account = request.name;
  subject.service_account_uid = account->uid;
  Result<void> bound = bind_subject(deps, request, spec["boundObjectRef"], subject);
  if (!bound.ok()) return done(bound.error());
  std::vector<std::string> audiences;
  for (const Value& a : spec["audiences"].elements()) audiences.push_back(a.text());
  if (audiences.empty()) {
    audiences = deps.tokens->audiences();
    for (const std::string& a : audiences) spec.member("audiences").push_back(a);
  }
  Result<IssuedToken> token = deps.tokens->issue(subject, audiences, seconds);
  if (!token.ok()) return done(std::move(token).error());
  Value& meta = body.member("metadata");
  meta.set("name", request.name);
  meta.set("namespace", request.ns);
  meta.set("creationTimestamp", base::format_time(deps.clock.now_us()));
  body.set("status", Value::object({{"token", token->token},
                                    {"expirationTimestamp",
                                     base::format_time(token->expires_at_seconds * 1000000)}}));
  done(created(std::move(body)));
}

namespace {

Attributes attributes_of(const Value& spec, UserRef user) {
  Attributes a;
  a.user = std::move(user);
  const Value& resource = spec["resourceAttributes"];
  if (!resource.is_null()) {
    a.resource_request = true;
    a.verb = resource["verb"].text();
    a.group = resource["group"].text();
    a.version = resource["version"].text();
    a.resource = resource["resource"].text();
    a.subresource = resource["subresource"].text();
    a.ns = resource["namespace"].text();
    a.name = resource["name"].text();
  } else {
    a.verb = spec["nonResourceAttributes"]["verb"].text();
    a.path = spec["nonResourceAttributes"]["path"].text();
  }
  return a;
}

UserRef user_of(const Value& spec) {
  auto user = std::make_shared<UserInfo>();
  user->name = spec["user"].text();
  user->uid = spec["uid"].text();
  for (const Value& g : spec["groups"].elements()) user->groups.push_back(g.text());
  for (json::Member m : spec["extra"].members()) {
    for (const Value& v : m.value.elements()) user->extra[std::string(m.key)].push_back(v.text());
  }
  return user;
}

void review_token(const RegistryDeps& deps, Value review, Done done) {
  if (deps.authenticator == nullptr) return done(unknown_path());
  net::Request probe;
  probe.headers.add("Authorization", "Bearer " + review["spec"]["token"].text());
  auto held = std::make_shared<Value>(std::move(review));
  deps.authenticator->authenticate(probe, [held, done = std::move(done)](Result<UserRef> user) {
    Value status = Value::object();
    if (user.ok() && *user != nullptr) {
      status.set("authenticated", true);
      status.set("user", user_json(**user));
    } else {
      status.set("user", Value::object());
      status.set("error", "[invalid bearer token, unknown]");
    }
    held->set("status", std::move(status));
    done(created(std::move(*held)));
  });
}

}  // namespace

void create_review(const RegistryDeps& deps, const Request& request, Value review, Done done) {
  std::string_view kind = request.resource->kind;
  if (kind == "TokenReview") return review_token(deps, std::move(review), std::move(done));
  if (kind == "SelfSubjectReview") {
    review.set("status", Value::object({{"userInfo", user_json(*request.user)}}));
    review.member("metadata").set("creationTimestamp", base::format_time(deps.clock.now_us()));
    return done(created(std::move(review)));
  }
  if (kind == "SelfSubjectRulesReview" || deps.authorizer == nullptr) return done(unknown_path());
  bool self = kind == "SelfSubjectAccessReview";
  UserRef user = self ? request.user : user_of(review["spec"]);
  Decision decision = deps.authorizer->authorize(attributes_of(review["spec"], std::move(user)));
  Value status = Value::object({{"allowed", decision.allowed}});
  if (!decision.reason.empty()) status.set("reason", decision.reason);
  review.set("status", std::move(status));
  done(created(std::move(review)));
}

}  // namespace knarr::server
