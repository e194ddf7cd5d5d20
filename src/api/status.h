// Errors as the Status objects of the API, both ways: what a server answers with, and what a client
// makes of it.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "knarr/result.h"

namespace knarr::api {

int http_status(Code code);
std::string_view status_reason(Code code);  // "NotFound"; "" for kUnknown

json::Value status_of(const Error& error);
std::string status_json(const Error& error);

// The error that a Status tells. What is no Status gets its code from the HTTP status, and a
// message that says so.
Error error_of_status(const json::Value& status, int http_status);

}  // namespace knarr::api
