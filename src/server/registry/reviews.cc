// The reviews that tell who someone is and what they may do. They are answered, never stored.

#include <optional>

#include "api/selector.h"
#include "base/format.h"
#include "base/time.h"
#include "server/auth/policy_rules.h"
#include "server/auth/rbac.h"
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

// What a review's field selector asks for with "=": what cannot be read narrows nothing.
std::vector<std::pair<std::string, std::string>> fields_of(const Value& selector) {
  std::vector<std::pair<std::string, std::string>> out;
  if (Result<api::FieldSelector> raw =
          api::FieldSelector::parse(selector["rawSelector"].as_string());
      raw.ok()) {
    for (const api::FieldTerm& term : raw->terms()) {
      if (term.equals) out.emplace_back(term.path, term.value);
    }
  }
  for (const Value& r : selector["requirements"].elements()) {
    if (r["operator"].as_string() == "In" && r["values"].size() == 1) {
      out.emplace_back(r["key"].text(), r["values"][0].text());
    }
  }
  return out;
}

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
    a.fields = fields_of(resource["fieldSelector"]);
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

Value shown_path(const Value& attributes) {
  return Value::object(
      {{"Path", attributes["path"].as_string()}, {"Verb", attributes["verb"].as_string()}});
}

// A selector is given as text or as requirements.
void check_selector(const Value& selector, const api::Path& path, api::ErrorList& errors) {
  if (selector.is_null()) return;
  bool raw = !selector["rawSelector"].as_string().empty();
  bool requirements = !selector["requirements"].empty();
  if (raw && requirements) {
    errors.invalid(path / "rawSelector", selector["rawSelector"],
                   "may not specified at the same time as requirements");
  }
  if (!raw && !requirements) {
    errors.required(
        path / "requirements",
        fmt::format("when {} is specified, requirements or rawSelector is required", path.text()));
  }
}

// What of a review's selectors is not looked at.
std::string ignored_selectors(const Value& attributes) {
  std::vector<std::string> ignored;
  if (!api::FieldSelector::parse(attributes["fieldSelector"]["rawSelector"].as_string()).ok()) {
    ignored.emplace_back("spec.resourceAttributes.fieldSelector ignored due to parse error");
  }
  if (!api::LabelSelector::parse(attributes["labelSelector"]["rawSelector"].as_string()).ok()) {
    ignored.emplace_back("spec.resourceAttributes.labelSelector ignored due to parse error");
  }
  return aggregate(ignored);
}

// What an access review must say, in upstream's words and order.
api::ErrorList check_access_review(std::string_view kind, const Request& request,
                                   const Value& review) {
  api::ErrorList errors;
  const Value& spec = review["spec"];
  const Value& resource = spec["resourceAttributes"];
  const Value& other = spec["nonResourceAttributes"];
  api::Path path("spec");
  if (!resource.is_null() && !other.is_null()) {
    errors.invalid(path / "nonResourceAttributes", shown_path(other),
                   "cannot be specified in combination with resourceAttributes");
  }
  if (resource.is_null() && other.is_null()) {
    errors.invalid(path / "resourceAttributes", Value(),
                   "exactly one of nonResourceAttributes or resourceAttributes must be specified");
  }
  bool self = kind == "SelfSubjectAccessReview";
  if (!self && spec["user"].as_string().empty() && spec["groups"].empty()) {
    errors.invalid(path / "user", spec["user"].as_string(),
                   "at least one of user or group must be specified");
  }
  check_selector(resource["fieldSelector"], path / "resourceAttributes" / "fieldSelector", errors);
  check_selector(resource["labelSelector"], path / "resourceAttributes" / "labelSelector", errors);
  if (kind != "LocalSubjectAccessReview") return errors;
  if (!resource.is_null() && resource["namespace"].as_string() != request.ns) {
    errors.invalid(path / "resourceAttributes" / "namespace", resource["namespace"],
                   "must match metadata.namespace");
  }
  if (!other.is_null()) {
    errors.invalid(path / "nonResourceAttributes", shown_path(other),
                   "disallowed on this kind of request");
  }
  return errors;
}

bool meet(const std::vector<std::string>& mine, const Value& asked, Value& common) {
  for (const Value& a : asked.elements()) {
    for (const std::string& m : mine) {
      if (a.as_string() == m) common.push_back(a);
    }
  }
  return !common.empty();
}

// The status of a token of this issuer; nullopt: it is of another kind.
std::optional<Value> review_account_token(const TokenIssuer& tokens, const Value* spec) {
  std::string token = (*spec)["token"].text();
  std::vector<std::string> asked;
  for (const Value& a : (*spec)["audiences"].elements()) asked.push_back(a.text());
  Result<UserRef> user = tokens.verify(token, asked);
  Value status = Value::object();
  if (!user.ok()) {
    std::string why = user.error().message;
    constexpr std::string_view kDamaged = "invalid bearer token";
    if (why.ends_with(": bad signature")) why = "go-jose/go-jose: error in cryptographic primitive";
    if (why.starts_with(kDamaged)) return std::nullopt;
    status.set("user", Value::object());
    status.set("error", fmt::format("[invalid bearer token, {}]", why));
    return status;
  }
  if (*user == nullptr) return std::nullopt;
  Value heard = Value::array();
  for (const std::string& a : asked.empty() ? tokens.audiences() : asked) {
    Result<UserRef> by_this = tokens.verify(token, {a});
    if (by_this.ok() && *by_this != nullptr) heard.push_back(a);
  }
  status.set("authenticated", true);
  status.set("user", user_json(**user));
  status.set("audiences", std::move(heard));
  return status;
}

void review_token(const RegistryDeps& deps, Value review, Done done) {
  if (deps.authenticator == nullptr) return done(unknown_path());
  if (review["spec"]["token"].as_string().empty()) {
    return done(bad_request("token is required for TokenReview in authentication"));
  }
  net::Request probe;
  probe.headers.add("Authorization", "Bearer " + review["spec"]["token"].text());
  // Who proves an identity here proves it to the API server's own audiences.
  std::vector<std::string> own;
  if (deps.tokens != nullptr) own = deps.tokens->audiences();
  Value audiences = Value::array();
  const Value& asked = review["spec"]["audiences"];
  bool heard = asked.empty() || meet(own, asked, audiences);
  if (asked.empty()) {
    for (const std::string& a : own) audiences.push_back(a);
  }
  auto held = std::make_shared<Value>(std::move(review));
  if (deps.tokens != nullptr) {
    if (std::optional<Value> status = review_account_token(*deps.tokens, held->find("spec"))) {
      held->set("status", *std::move(status));
      return done(created(std::move(*held)));
    }
  }
  deps.authenticator->authenticate(
      probe, [held, audiences, heard, done = std::move(done)](Result<UserRef> user) {
        Value status = Value::object();
        if (heard && user.ok() && *user != nullptr) {
          status.set("authenticated", true);
          status.set("user", user_json(**user));
          if (!audiences.empty()) status.set("audiences", audiences);
        } else {
          status.set("user", Value::object());
          status.set("error", "invalid bearer token");
        }
        held->set("status", std::move(status));
        done(created(std::move(*held)));
      });
}

Value rules_status(const AccessRules& access) {
  Value resources = Value::array();
  Value paths = Value::array();
  for (const PolicyRule& rule : access.rules) {
    Value one = rules_json({rule});
    if (!rule.resources.empty()) resources.push_back(one[0]).erase("nonResourceURLs");
    if (rule.paths.empty()) continue;
    Value& of_paths = paths.push_back(one[0]);
    for (const char* field : {"apiGroups", "resources", "resourceNames"}) of_paths.erase(field);
  }
  Value status = Value::object({{"resourceRules", std::move(resources)},
                                {"nonResourceRules", std::move(paths)},
                                {"incomplete", access.incomplete}});
  if (!access.error.empty()) status.set("evaluationError", access.error);
  return status;
}

}  // namespace

void create_review(const RegistryDeps& deps, const Request& request, Value review, Done done) {
  std::string_view kind = request.resource->kind;
  if (kind == "TokenReview") {
    track_virtual_fields(deps, request, review);
    return review_token(deps, std::move(review), std::move(done));
  }
  if (kind == "SelfSubjectReview") {
    review.set("status", Value::object({{"userInfo", user_json(*request.user)}}));
    review.member("metadata").set("creationTimestamp", base::format_time(deps.clock.now_us()));
    return done(created(std::move(review)));
  }
  if (deps.authorizer == nullptr) return done(unknown_path());
  if (kind == "SelfSubjectRulesReview") {
    std::string ns = review["spec"]["namespace"].text();
    if (ns.empty()) return done(bad_request("no namespace on request"));
    review.set("metadata", Value::object());
    review.set("spec", Value::object());
    review.set("status", rules_status(deps.authorizer->rules_of(request.user, ns)));
    return done(created(std::move(review)));
  }
  api::ErrorList errors = check_access_review(kind, request, review);
  if (!errors.empty()) return done(api::invalid_error("authorization.k8s.io", "", "", errors));
  track_virtual_fields(deps, request, review);
  if (kind == "LocalSubjectAccessReview") review.member("metadata").set("namespace", request.ns);
  bool self = kind == "SelfSubjectAccessReview";
  UserRef user = self ? request.user : user_of(review["spec"]);
  Decision decision = deps.authorizer->authorize(attributes_of(review["spec"], std::move(user)));
  Value status = Value::object({{"allowed", decision.allowed}});
  if (!decision.reason.empty()) status.set("reason", decision.reason);
  std::string ignored = ignored_selectors(review["spec"]["resourceAttributes"]);
  if (!ignored.empty()) status.set("evaluationError", std::move(ignored));
  review.set("status", std::move(status));
  done(created(std::move(review)));
}

}  // namespace knarr::server
