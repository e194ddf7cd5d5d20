// The grammar of JSON with the error messages of Go's encoding/json, which clients of
// kube-apiserver see. No recursion.
#pragma once

#include <cstddef>
#include <string_view>

#include "knarr/result.h"

namespace knarr::api {

// The whole text is one JSON value, at most 10,000 levels deep. Errors are kBadRequest: "invalid
// character 'k' looking for beginning of value", "unexpected end of JSON input".
Result<void> check_json(std::string_view text);

// In text that check_json accepted: the position after the value that starts at `at`.
size_t skip_json_value(std::string_view text, size_t at);

inline bool is_json_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

}  // namespace knarr::api
