#include "cli/kubectl/api_client.h"

#include <algorithm>
#include <cstdio>

#include "base/format.h"

namespace knarr::kubectl {

namespace {

struct Reason {
  Code code;
  std::string_view text;
};

constexpr Reason kReasons[] = {
    {Code::kBadRequest, "BadRequest"},
    {Code::kUnauthorized, "Unauthorized"},
    {Code::kForbidden, "Forbidden"},
    {Code::kNotFound, "NotFound"},
    {Code::kMethodNotAllowed, "MethodNotAllowed"},
    {Code::kNotAcceptable, "NotAcceptable"},
    {Code::kAlreadyExists, "AlreadyExists"},
    {Code::kConflict, "Conflict"},
    {Code::kGone, "Gone"},
    {Code::kExpired, "Expired"},
    {Code::kInvalid, "Invalid"},
    {Code::kRequestEntityTooLarge, "RequestEntityTooLarge"},
    {Code::kUnsupportedMediaType, "UnsupportedMediaType"},
    {Code::kTooManyRequests, "TooManyRequests"},
    {Code::kServerTimeout, "ServerTimeout"},
    {Code::kTimeout, "Timeout"},
    {Code::kInternalError, "InternalError"},
    {Code::kServiceUnavailable, "ServiceUnavailable"},
};

Code code_of_http(int status) {
  switch (status) {
    case 400: return Code::kBadRequest;
    case 401: return Code::kUnauthorized;
    case 403: return Code::kForbidden;
    case 404: return Code::kNotFound;
    case 405: return Code::kMethodNotAllowed;
    case 409: return Code::kConflict;
    case 410: return Code::kGone;
    case 422: return Code::kInvalid;
    case 429: return Code::kTooManyRequests;
    case 503: return Code::kServiceUnavailable;
    case 504: return Code::kTimeout;
    default: return Code::kUnknown;
  }
}

// `299 - "text"` -> "text".
std::string warning_text(const std::string& header) {
  size_t quote = header.find('"');
  if (quote == std::string::npos) return header;
  std::string out;
  for (size_t i = quote + 1; i < header.size() && header[i] != '"'; i++) {
    if (header[i] == '\\' && i + 1 < header.size()) i++;
    out += header[i];
  }
  return out;
}

std::string invalid_text(const Error& error) {
  const ErrorDetails& details = *error.details;
  std::string out = "The request is invalid";
  if (!details.kind.empty() || !details.name.empty()) {
    out = fmt::format("The {} \"{}\" is invalid", details.kind, details.name);
  } else if (details.causes.empty() && !error.message.empty()) {
    out += ": " + error.message;
  }
  std::vector<std::string> causes;
  for (const Cause& cause : details.causes) {
    std::string text = cause.field + ": " + cause.message;
    if (std::find(causes.begin(), causes.end(), text) == causes.end()) causes.push_back(text);
  }
  if (causes.empty()) return out + "\n";
  if (causes.size() == 1) return out + ": " + causes[0] + "\n";
  out += ": \n";
  for (const std::string& cause : causes) out += "* " + cause + "\n";
  return out;
}

}  // namespace

std::string_view reason_text(Code code) {
  for (const Reason& reason : kReasons) {
    if (reason.code == code) return reason.text;
  }
  return "";
}

Error status_error(int http_status, std::string_view body) {
  ErrorDetails details;
  Error error;
  auto parsed = json::parse(body);
  if (!parsed.ok() || (*parsed)["kind"].as_string() != "Status") {
    error.code = code_of_http(http_status);
    error.message = body.empty() ? fmt::format(
                                       "the server responded with the status code {} but "
                                       "did not return more information",
                                       http_status)
                                 : std::string(body);
    if (error.code == Code::kNotFound) {
      error.message = "the server could not find the requested resource";
    }
    error.details = std::make_shared<const ErrorDetails>(details);
    return error;
  }
  const json::Value& status = *parsed;
  error.message = status["message"].text();
  for (const Reason& reason : kReasons) {
    if (reason.text == status["reason"].as_string()) error.code = reason.code;
  }
  const json::Value& from = status["details"];
  details.name = from["name"].text();
  details.group = from["group"].text();
  details.kind = from["kind"].text();
  details.uid = from["uid"].text();
  details.retry_after_seconds = static_cast<int>(from["retryAfterSeconds"].as_int());
  for (const json::Value& cause : from["causes"].elements()) {
    details.causes.push_back(
        {cause["reason"].text(), cause["message"].text(), cause["field"].text()});
  }
  error.details = std::make_shared<const ErrorDetails>(std::move(details));
  return error;
}

std::string error_text(const Error& error) {
  if (error.details == nullptr) {
    if (error.code == Code::kServiceUnavailable) return error.message + "\n";
    return "error: " + error.message + "\n";
  }
  if (error.code == Code::kInvalid) return invalid_text(error);
  if (error.code == Code::kUnauthorized) {
    return fmt::format("error: You must be logged in to the server ({})\n", error.message);
  }
  std::string_view reason = reason_text(error.code);
  if (reason.empty()) return fmt::format("Error from server: {}\n", error.message);
  return fmt::format("Error from server ({}): {}\n", reason, error.message);
}

Error with_source(Error error, const std::string& doing) {
  if (error.details != nullptr || error.code != Code::kServiceUnavailable) {
    error.message = doing + ": " + error.message;
  }
  return error;
}

Result<HttpAnswer> ApiClient::send(const ApiAsk& ask, const HttpSink* sink) {
  HttpAsk out;
  out.method = ask.method;
  out.target = ask.path;
  std::string query = ask.query.text();
  if (!query.empty()) out.target += "?" + query;
  out.headers.emplace_back("Accept", ask.accept);
  if (!ask.body.empty()) {
    out.headers.emplace_back("Content-Type", ask.content_type);
    out.body = ask.body;
  }
  TRY_ASSIGN(HttpAnswer answer, http_->send(out, sink));
  for (const std::string& warning : answer.warnings) {
    std::fprintf(stderr, "Warning: %s\n", warning_text(warning).c_str());
  }
  if (answer.status / 100 != 2) return status_error(answer.status, answer.body);
  return answer;
}

Result<std::string> ApiClient::text(const ApiAsk& ask) {
  TRY_ASSIGN(HttpAnswer answer, send(ask, nullptr));
  return std::move(answer.body);
}

Result<json::Value> ApiClient::call(const ApiAsk& ask) {
  TRY_ASSIGN(std::string body, text(ask));
  if (body.empty()) return json::Value();
  return json::parse(body);
}

Result<void> ApiClient::stream(const ApiAsk& ask, const HttpSink& sink) {
  TRY_ASSIGN(HttpAnswer answer, send(ask, &sink));
  return {};
}

Result<json::Value> ApiClient::list(ApiAsk ask, int64_t page_size) {
  net::Query query = ask.query;
  if (page_size > 0) ask.query.add("limit", std::to_string(page_size));
  TRY_ASSIGN(json::Value whole, call(ask));
  std::string more = whole["metadata"]["continue"].text();
  const char* part = whole["kind"].as_string() == "Table" ? "rows" : "items";
  while (!more.empty()) {
    ask.query = query;
    ask.query.add("limit", std::to_string(page_size));
    ask.query.add("continue", more);
    TRY_ASSIGN(json::Value page, call(ask));
    for (const json::Value& element : page[part].elements()) whole.member(part).push_back(element);
    more = page["metadata"]["continue"].text();
  }
  return whole;
}

Result<bool> ApiClient::watch(ApiAsk ask, const std::function<bool(const WatchEvent&)>& on_event) {
  ask.query.add("watch", "true");
  std::string line;
  Result<void> failed;
  bool stopped = false;
  TRY(stream(ask, [&](std::string_view bytes) {
    for (char c : bytes) {
      if (c != '\n') {
        line += c;
        continue;
      }
      auto event = json::parse(line);
      line.clear();
      if (!event.ok()) {
        failed = event.error();
        return false;
      }
      WatchEvent told{(*event)["type"].text(), (*event)["object"]};
      if (told.type == "ERROR") {
        failed =
            status_error(static_cast<int>(told.object["code"].as_int()), json::write(told.object));
        return false;
      }
      if (!on_event(told)) {
        stopped = true;
        return false;
      }
    }
    return true;
  }));
  TRY(failed);
  return stopped;
}

}  // namespace knarr::kubectl
