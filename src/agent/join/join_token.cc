#include "agent/join/join_token.h"

#include <algorithm>

namespace knarr::agent {

namespace {

constexpr std::string_view kPrefix = "K10";
constexpr size_t kHashDigits = 64;
constexpr size_t kIdLength = 6;
constexpr size_t kSecretLength = 16;

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }
bool is_token_letter(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z'); }

}  // namespace

Result<JoinToken> parse_join_token(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  JoinToken token;
  if (text.starts_with(kPrefix) && text.find("::") != std::string_view::npos) {
    size_t end = text.find("::");
    token.ca_hash = text.substr(kPrefix.size(), end - kPrefix.size());
    if (token.ca_hash.size() != kHashDigits ||
        !std::all_of(token.ca_hash.begin(), token.ca_hash.end(), is_hex)) {
      return make_error(Code::kBadRequest,
                        "token: between K10 and :: there must be the 64 hex digits of a SHA-256");
    }
    text.remove_prefix(end + 2);
    // A user's name before the secret is read over.
    if (size_t colon = text.find(':'); colon != std::string_view::npos) {
      text.remove_prefix(colon + 1);
    }
  }
  if (text.empty()) return make_error(Code::kBadRequest, "token: there is no secret in it");
  bool printable = std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 127; });
  if (!printable) {
    return make_error(Code::kBadRequest, "token: has spaces or letters outside ASCII");
  }
  token.secret = text;
  return token;
}

std::string format_join_token(const JoinToken& token) {
  if (token.ca_hash.empty()) return token.secret;
  std::string user = is_bootstrap_token(token.secret) ? "" : "server:";
  return std::string(kPrefix) + token.ca_hash + "::" + user + token.secret;
}

bool is_bootstrap_token(std::string_view secret) {
  return secret.size() == kIdLength + 1 + kSecretLength && secret[kIdLength] == '.' &&
         std::all_of(secret.begin(), secret.begin() + kIdLength, is_token_letter) &&
         std::all_of(secret.begin() + kIdLength + 1, secret.end(), is_token_letter);
}

}  // namespace knarr::agent
