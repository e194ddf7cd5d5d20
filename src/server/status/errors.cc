#include "server/status/errors.h"

#include "base/format.h"

namespace knarr::server {
namespace {

struct Row {
  Code code;
  int http;
  std::string_view reason;
};

constexpr Row kRows[] = {
    {Code::kUnknown, 500, ""},
    {Code::kBadRequest, 400, "BadRequest"},
    {Code::kUnauthorized, 401, "Unauthorized"},
    {Code::kForbidden, 403, "Forbidden"},
    {Code::kNotFound, 404, "NotFound"},
    {Code::kMethodNotAllowed, 405, "MethodNotAllowed"},
    {Code::kNotAcceptable, 406, "NotAcceptable"},
    {Code::kAlreadyExists, 409, "AlreadyExists"},
    {Code::kConflict, 409, "Conflict"},
    {Code::kGone, 410, "Gone"},
    {Code::kExpired, 410, "Expired"},
    {Code::kInvalid, 422, "Invalid"},
    {Code::kRequestEntityTooLarge, 413, "RequestEntityTooLarge"},
    {Code::kUnsupportedMediaType, 415, "UnsupportedMediaType"},
    {Code::kTooManyRequests, 429, "TooManyRequests"},
    {Code::kServerTimeout, 500, "ServerTimeout"},
    {Code::kTimeout, 504, "Timeout"},
    {Code::kInternalError, 500, "InternalError"},
    {Code::kServiceUnavailable, 503, "ServiceUnavailable"},
    {Code::kCanceled, 504, "Timeout"},
};

const Row& row(Code code) {
  for (const Row& r : kRows) {
    if (r.code == code) return r;
  }
  return kRows[0];
}

Error about(Code code, std::string message, std::string_view group, std::string_view kind,
            std::string_view name) {
  auto details = std::make_shared<ErrorDetails>();
  details->group = group;
  details->kind = kind;
  details->name = name;
  return Error{code, std::move(message), std::move(details)};
}

Error bare(Code code, std::string message) {
  return Error{code, std::move(message), std::make_shared<ErrorDetails>()};
}

json::Value details_json(const ErrorDetails& d) {
  json::Value v = json::Value::object();
  if (!d.name.empty()) v.set("name", d.name);
  if (!d.group.empty()) v.set("group", d.group);
  if (!d.kind.empty()) v.set("kind", d.kind);
  if (!d.uid.empty()) v.set("uid", d.uid);
  if (!d.causes.empty()) {
    json::Value causes = json::Value::array();
    for (const Cause& c : d.causes) {
      json::Value cause = json::Value::object();
      if (!c.reason.empty()) cause.set("reason", c.reason);
      if (!c.message.empty()) cause.set("message", c.message);
      if (!c.field.empty()) cause.set("field", c.field);
      causes.push_back(std::move(cause));
    }
    v.set("causes", std::move(causes));
  }
  if (d.retry_after_seconds > 0) v.set("retryAfterSeconds", d.retry_after_seconds);
  return v;
}

}  // namespace

int http_status(Code code) { return row(code).http; }

std::string_view status_reason(Code code) { return row(code).reason; }

std::string qualified(std::string_view group, std::string_view resource) {
  std::string out(resource);
  if (!group.empty()) out.append(".").append(group);
  return out;
}

Error not_found(std::string_view group, std::string_view resource, std::string_view name) {
  return about(Code::kNotFound,
               fmt::format("{} \"{}\" not found", qualified(group, resource), name), group,
               resource, name);
}

Error already_exists(std::string_view group, std::string_view resource, std::string_view name) {
  return about(Code::kAlreadyExists,
               fmt::format("{} \"{}\" already exists", qualified(group, resource), name), group,
               resource, name);
}

Error conflict(std::string_view group, std::string_view resource, std::string_view name,
               std::string_view why) {
  return about(Code::kConflict,
               fmt::format("Operation cannot be fulfilled on {} \"{}\": {}",
                           qualified(group, resource), name, why),
               group, resource, name);
}

Error forbidden(std::string_view group, std::string_view resource, std::string_view name,
                std::string_view why) {
  std::string what = qualified(group, resource);
  std::string message = name.empty() ? fmt::format("{} is forbidden: {}", what, why)
                                     : fmt::format("{} \"{}\" is forbidden: {}", what, name, why);
  return about(Code::kForbidden, std::move(message), group, resource, name);
}

Error bad_request(std::string message) { return make_error(Code::kBadRequest, std::move(message)); }

Error unknown_path() {
  return bare(Code::kNotFound, "the server could not find the requested resource");
}

Error method_not_allowed() {
  return bare(Code::kMethodNotAllowed,
              "the server does not allow this method on the requested resource");
}

Error not_acceptable(std::string message) {
  return make_error(Code::kNotAcceptable, std::move(message));
}

Error unsupported_media_type() {
  return make_error(Code::kUnsupportedMediaType,
                    "the body of the request was in an unknown format - accepted media types "
                    "include: application/json, application/yaml, "
                    "application/vnd.kubernetes.protobuf");
}

Error internal_error(std::string why) {
  auto details = std::make_shared<ErrorDetails>();
  details->causes.push_back({"", why, ""});
  return Error{Code::kInternalError, "Internal error occurred: " + why, std::move(details)};
}

Error unauthorized() { return make_error(Code::kUnauthorized, "Unauthorized"); }

json::Value status_of(const Error& error) {
  json::Value v = json::Value::object({{"kind", "Status"},
                                       {"apiVersion", "v1"},
                                       {"metadata", json::Value::object()},
                                       {"status", "Failure"}});
  if (!error.message.empty()) v.set("message", error.message);
  if (!status_reason(error.code).empty()) v.set("reason", status_reason(error.code));
  if (error.details != nullptr) v.set("details", details_json(*error.details));
  v.set("code", http_status(error.code));
  return v;
}

std::string status_json(const Error& error) { return json::write(status_of(error)); }

std::string success_json(std::string_view group, std::string_view resource, std::string_view name,
                         std::string_view uid) {
  json::Value details = json::Value::object();
  if (!name.empty()) details.set("name", name);
  if (!group.empty()) details.set("group", group);
  details.set("kind", resource);
  if (!uid.empty()) details.set("uid", uid);
  return json::write(json::Value::object({{"kind", "Status"},
                                          {"apiVersion", "v1"},
                                          {"metadata", json::Value::object()},
                                          {"status", "Success"},
                                          {"details", std::move(details)}}));
}

}  // namespace knarr::server
