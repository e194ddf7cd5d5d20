// The API server as kubectl's verbs see it: paths, JSON in and out, Status errors as Errors,
// warnings on stderr. One thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"
#include "cli/kubectl/http_session.h"
#include "knarr/result.h"
#include "net/url.h"

namespace knarr::kubectl {

constexpr char kMergePatch[] = "application/merge-patch+json";
constexpr char kStrategicPatch[] = "application/strategic-merge-patch+json";
constexpr char kJsonPatch[] = "application/json-patch+json";
constexpr char kApplyPatch[] = "application/apply-patch+yaml";
constexpr char kTableAccept[] = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

struct ApiAsk {
  std::string method = "GET";
  std::string path;
  net::Query query;
  std::string accept = "application/json";
  std::string content_type = "application/json";
  std::string body;
};

struct WatchEvent {
  std::string type;  // "ADDED", "MODIFIED", "DELETED", "BOOKMARK"
  json::Value object;
};

class ApiClient {
 public:
  explicit ApiClient(std::unique_ptr<HttpSession> http) : http_(std::move(http)) {}

  // An error with details is the server's Status.
  Result<json::Value> call(const ApiAsk& ask);
  Result<std::string> text(const ApiAsk& ask);
  Result<void> stream(const ApiAsk& ask, const HttpSink& sink);
  // Every page of a list as one.
  Result<json::Value> list(ApiAsk ask, int64_t page_size = 500);
  // Ends when on_event says false, or the server ends it: then the answer is false. An ERROR event
  // is an error.
  Result<bool> watch(ApiAsk ask, const std::function<bool(const WatchEvent&)>& on_event);

 private:
  Result<HttpAnswer> send(const ApiAsk& ask, const HttpSink* sink);
  std::unique_ptr<HttpSession> http_;
};

// A Status object (or a body that is none) of an HTTP status as an Error with details.
Error status_error(int http_status, std::string_view body);

// "NotFound" of kNotFound; "" of kUnknown.
std::string_view reason_text(Code code);

// What kubectl prints of an error, with its newline: "Error from server (NotFound): ...",
// "The Pod "x" is invalid: ...", "error: ...". Pure.
std::string error_text(const Error& error);

// The same error with words before a server's message: `error when creating "f.yaml"`.
Error with_source(Error error, const std::string& doing);

}  // namespace knarr::kubectl
