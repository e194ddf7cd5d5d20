#include "server/auth/bootstrap_tokens.h"

#include <openssl/crypto.h>

#include <algorithm>

#include "api/view/meta.h"
#include "base/base64.h"
#include "base/time.h"
#include "knarr/names.h"

namespace knarr::server {

namespace {

constexpr std::string_view kGroupPrefix = "system:bootstrappers:";
constexpr size_t kIdLength = 6;
constexpr size_t kSecretLength = 16;

// "" when the key is missing or no base64.
std::string data_of(const json::Value& secret, std::string_view key) {
  auto text = base::base64_decode(secret["data"][key].as_string());
  return text.ok() ? *text : std::string();
}

bool same(const std::string& a, const std::string& b) {
  return !a.empty() && a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

bool is_token_text(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z'); });
}

UserRef bootstrapper(const std::string& name, const std::string& extra_groups) {
  auto user = std::make_shared<UserInfo>();
  user->name = "system:bootstrap:" + name;
  user->groups = {kBootstrappersGroup};
  size_t at = 0;
  while (at < extra_groups.size()) {
    size_t end = std::min(extra_groups.find(',', at), extra_groups.size());
    std::string group = extra_groups.substr(at, end - at);
    if (group.starts_with(kGroupPrefix)) user->groups.push_back(group);
    at = end + 1;
  }
  user->groups.push_back(kAuthenticatedGroup);
  return user;
}

}  // namespace

UserRef BootstrapTokens::verify(const std::string& token) const {
  if (token.size() == kIdLength + 1 + kSecretLength && token[kIdLength] == '.') {
    std::string id = token.substr(0, kIdLength);
    std::string secret = token.substr(kIdLength + 1);
    if (is_token_text(id) && is_token_text(secret)) {
      if (UserRef user = by_secret(id, secret)) return user;
    }
  }
  // Which may be of the same form.
  ObjectRef own = lookup_(kJoinTokenSecret);
  if (own == nullptr || !same(data_of(api::decode(*own), "token"), token)) return nullptr;
  return bootstrapper("server", "");
}

UserRef BootstrapTokens::by_secret(const std::string& id, const std::string& secret) const {
  ObjectRef object = lookup_("bootstrap-token-" + id);
  if (object == nullptr || object->deleting) return nullptr;
  json::Value found = api::decode(*object);
  bool good = found["type"].as_string() == kBootstrapSecretType &&
              data_of(found, "token-id") == id && same(data_of(found, "token-secret"), secret) &&
              data_of(found, "usage-bootstrap-authentication") == "true";
  if (!good) return nullptr;
  if (std::string expires = data_of(found, "expiration"); !expires.empty()) {
    auto at = base::parse_time(expires);
    if (!at.ok() || *at < clock_.now_us()) return nullptr;
  }
  return bootstrapper(id, data_of(found, "auth-extra-groups"));
}

}  // namespace knarr::server
