// What a registry asks for with WWW-Authenticate, and where a token comes from (distribution's
// "Token Authentication Specification"). Outside bytes; pure functions.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "knarr/result.h"
#include "knarr/runtime.h"

namespace knarr::runtime {

struct AuthChallenge {
  std::string scheme;                             // lower case: "bearer", "basic"
  std::map<std::string, std::string> parameters;  // names in lower case
};

// Of one header value; several challenges may share one.
std::vector<AuthChallenge> parse_challenges(std::string_view header);

std::string url_encode(std::string_view text);
std::string basic_authorization(const RegistryAuth& auth);
// The URL of a GET for a token; `scope` as the challenge has it, else `fallback_scope`.
std::string token_url(const AuthChallenge& challenge, const std::string& fallback_scope);
// The body of a POST that turns a refresh token into an access token.
std::string refresh_form(const AuthChallenge& challenge, const std::string& fallback_scope,
                         const std::string& refresh_token);
// From the token server's answer.
Result<std::string> token_from(std::string_view json);

}  // namespace knarr::runtime
