#include "api/status.h"

#include "base/format.h"

namespace knarr::api {

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

ErrorDetails read_details(const json::Value& value) {
  ErrorDetails details;
  details.name = value["name"].text();
  details.group = value["group"].text();
  details.kind = value["kind"].text();
  details.uid = value["uid"].text();
  for (const json::Value& cause : value["causes"].elements()) {
    details.causes.push_back(
        {cause["reason"].text(), cause["message"].text(), cause["field"].text()});
  }
  details.retry_after_seconds = static_cast<int>(value["retryAfterSeconds"].as_int());
  return details;
}

Code code_of(std::string_view reason, int http_status) {
  for (const Row& r : kRows) {
    if (!reason.empty() && r.reason == reason) return r.code;
  }
  for (const Row& r : kRows) {
    if (r.http == http_status) return r.code;
  }
  return Code::kUnknown;
}

}  // namespace

int http_status(Code code) { return row(code).http; }

std::string_view status_reason(Code code) { return row(code).reason; }

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

Error error_of_status(const json::Value& status, int http_status) {
  if (status["kind"].as_string() != "Status") {
    return make_error(code_of("", http_status),
                      fmt::format("the server answered with status {}", http_status));
  }
  if (http_status == 0) http_status = static_cast<int>(status["code"].as_int());
  Error error =
      make_error(code_of(status["reason"].as_string(), http_status), status["message"].text());
  if (status.has("details")) {
    error.details = std::make_shared<ErrorDetails>(read_details(status["details"]));
  }
  return error;
}

}  // namespace knarr::api
