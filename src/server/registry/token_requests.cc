// Tokens for service accounts: the subresource serviceaccounts/token.

#include "api/resource.h"
#include "base/format.h"
#include "base/time.h"
#include "server/registry/subresources.h"
#include "server/status/errors.h"

namespace knarr::server {

using json::Value;

namespace {

Result<void> check_names(const Value& meta, const Request& request) {
  std::string_view name = meta["name"].as_string();
  std::string_view ns = meta["namespace"].as_string();
  if (!ns.empty() && ns != request.ns) {
    return bad_request(
        "the namespace of the provided object does not match the namespace sent on the request");
  }
  if (name.empty() || name == request.name) return {};
  api::ErrorList errors;
  errors.invalid(api::Path("metadata") / "name", meta["name"],
                 "must match the service account name if specified");
  return api::invalid_error("authentication.k8s.io", "TokenRequest", request.name, errors);
}

// The object that a token shall live and die with.
Result<void> bind_subject(const RegistryDeps& deps, const Request& request, const Value& ref,
                          TokenSubject& subject) {
  if (ref.is_null()) return {};
  subject.bound_kind = ref["kind"].text();
  subject.bound_name = ref["name"].text();
  std::string plural = subject.bound_kind == "Pod"      ? "pods"
                       : subject.bound_kind == "Node"   ? "nodes"
                       : subject.bound_kind == "Secret" ? "secrets"
                                                        : "";
  std::string version = ref["apiVersion"].text();
  std::string_view group;
  std::string_view v = version;
  api::split_api_version(version, group, v);
  if (plural.empty() || !group.empty()) {
    return bad_request(fmt::format("cannot bind token to object of type {}/{}, Kind={}", group, v,
                                   subject.bound_kind));
  }
  std::string ns = plural == "nodes" ? "" : request.ns;
  ObjectRef object = deps.cache.get({{"", plural}, {ns, subject.bound_name}});
  if (object == nullptr) return not_found("", plural, subject.bound_name);
  std::string uid = ref["uid"].text();
  if (!uid.empty() && uid != object->uid) {
    return conflict("", subject.bound_kind, subject.bound_name,
                    fmt::format("the UID in the bound object reference ({}) does not match the UID "
                                "in record. The object might have been deleted and then recreated",
                                uid));
  }
  subject.bound_uid = object->uid;
  if (plural == "pods") {
    Result<Value> pod = json::parse(object->json);
    if (pod.ok() && (*pod)["spec"]["serviceAccountName"].as_string() != request.name) {
      return bad_request(
          fmt::format("cannot bind token for serviceaccount \"{}\" to pod running with different "
                      "serviceaccount name.",
                      request.name));
    }
  }
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
  Result<void> named = check_names(body["metadata"], request);
  if (!named.ok()) return done(named.error());
  track_virtual_fields(deps, request, body);
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
  AdmissionRequest admission;
  admission.resource = api::find_resource("", "v1", "serviceaccounts");
  admission.subresource = "token";
  admission.ns = request.ns;
  admission.name = request.name;
  admission.user = request.user;
  admission.dry_run = request.dry_run;
  admission.object = &body;
  Result<void> may = deps.admission.mutate(admission);
  if (!may.ok()) return done(may.error());
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
  meta.set("uid", account->uid);
  meta.set("creationTimestamp", base::format_time(deps.clock.now_us()));
  body.set("status", Value::object({{"token", token->token},
                                    {"expirationTimestamp",
                                     base::format_time(token->expires_at_seconds * 1000000)}}));
  Answer answer;
  answer.code = 201;
  answer.json = json::write(body);
  done(std::move(answer));
}

}  // namespace knarr::server
