// What a machine joins a cluster with: "K10<sha256 of the authority's PEM>::server:<secret>", as
// k3s writes it, or a secret alone, which pins nothing. A bootstrap token
// ("abcdef.0123456789abcdef") may stand for the secret. Pure.
#pragma once

#include <string>
#include <string_view>

#include "knarr/result.h"

namespace knarr::agent {

struct JoinToken {
  std::string ca_hash;  // SHA-256 in hex; empty: not pinned
  std::string secret;
};

// kBadRequest says what is wrong with it, and does not repeat the secret.
Result<JoinToken> parse_join_token(std::string_view text);
std::string format_join_token(const JoinToken& token);

// "abcdef.0123456789abcdef": an id that is no secret, and the secret.
bool is_bootstrap_token(std::string_view secret);

}  // namespace knarr::agent
