#include "server/auth/service_account_tokens.h"

#include <algorithm>

#include "base/base64.h"
#include "base/format.h"
#include "base/time.h"

namespace knarr::server {

using json::Value;

namespace {

constexpr int64_t kLeewaySeconds = 60;          // clocks differ
constexpr int64_t kDeletionLeewaySeconds = 60;  // and what ends may say goodbye

// Of tokens that live in Secrets.
constexpr const char* kSecretTokenIssuer = "kubernetes/serviceaccount";
constexpr const char* kNamespaceClaim = "kubernetes.io/serviceaccount/namespace";
constexpr const char* kSecretClaim = "kubernetes.io/serviceaccount/secret.name";
constexpr const char* kAccountClaim = "kubernetes.io/serviceaccount/service-account.name";
constexpr const char* kAccountUidClaim = "kubernetes.io/serviceaccount/service-account.uid";

Error refused(std::string why) { return make_error(Code::kUnauthorized, std::move(why)); }

Value named(const std::string& name, const std::string& uid) {
  return Value::object({{"name", name}, {"uid", uid}});
}

bool intended_for(const Value& claim, const std::vector<std::string>& audiences) {
  for (const Value& a : claim.elements()) {
    if (std::find(audiences.begin(), audiences.end(), a.as_string()) != audiences.end()) {
      return true;
    }
  }
  return std::find(audiences.begin(), audiences.end(), claim.as_string()) != audiences.end();
}

// As Go prints a list of strings: ["a" "b"].
std::string quoted(const std::vector<std::string>& list) {
  std::string out = "[";
  for (const std::string& s : list) {
    if (out.size() > 1) out += ' ';
    json::append_quoted(out, s);
  }
  return out + "]";
}

}  // namespace

ServiceAccountTokens::ServiceAccountTokens(JwtKey key, std::string issuer, const Clock& clock,
                                           Random& random)
    : key_(std::move(key)), issuer_(std::move(issuer)), clock_(clock), random_(random) {}

ServiceAccountTokens::ServiceAccountTokens(PendingKey key, std::string issuer, const Clock& clock,
                                           Random& random)
    : pending_(std::move(key)), issuer_(std::move(issuer)), clock_(clock), random_(random) {}

Result<const JwtKey*> ServiceAccountTokens::key() const {
  if (!key_) {
    const Result<std::string>& pem = pending_.get();
    if (!pem.ok()) return pem.error();
    TRY_ASSIGN(JwtKey key, JwtKey::from_pem(*pem));
    key_ = std::move(key);
  }
  return &*key_;
}

std::vector<std::string> ServiceAccountTokens::audiences() const { return {issuer_}; }

Result<IssuedToken> ServiceAccountTokens::issue(const TokenSubject& subject,
                                                const std::vector<std::string>& audiences,
                                                int64_t expiration_seconds) {
  int64_t now = clock_.now_us() / 1000000;
  Value kubernetes = Value::object({{"namespace", subject.ns}});
  kubernetes.set("serviceaccount", named(subject.service_account, subject.service_account_uid));
  if (subject.bound_kind == "Pod") {
    kubernetes.set("pod", named(subject.bound_name, subject.bound_uid));
    if (!subject.node_name.empty()) {
      kubernetes.set("node", named(subject.node_name, subject.node_uid));
    }
  } else if (subject.bound_kind == "Secret") {
    kubernetes.set("secret", named(subject.bound_name, subject.bound_uid));
  } else if (subject.bound_kind == "Node") {
    kubernetes.set("node", named(subject.bound_name, subject.bound_uid));
  }
  Value aud = Value::array();
  for (const std::string& a : audiences.empty() ? this->audiences() : audiences) aud.push_back(a);
  Value claims = Value::object();
  claims.set("aud", std::move(aud));
  claims.set("exp", now + expiration_seconds);
  claims.set("iat", now);
  claims.set("iss", issuer_);
  claims.set("jti", random_.uuid());
  claims.set("kubernetes.io", std::move(kubernetes));
  claims.set("nbf", now);
  claims.set("sub",
             fmt::format("system:serviceaccount:{}:{}", subject.ns, subject.service_account));
  TRY_ASSIGN(const JwtKey* key, this->key());
  return IssuedToken{key->sign(claims), now + expiration_seconds};
}

Result<UserRef> ServiceAccountTokens::verify(const std::string& token,
                                             const std::vector<std::string>& audiences) const {
  // Three parts with dots between: anything else is another kind of token.
  if (std::count(token.begin(), token.end(), '.') != 2) return UserRef();
  TRY_ASSIGN(const JwtKey* key, this->key());
  TRY_ASSIGN(Value claims, key->verify(token));
  if (claims["iss"].as_string() == kSecretTokenIssuer)
    return check_secret(claims, token, audiences);
  return check_claims(claims, audiences.empty() ? this->audiences() : audiences);
}

Result<std::string> ServiceAccountTokens::issue_for_secret(const TokenSubject& subject) {
  Value claims = Value::object();
  claims.set("iss", kSecretTokenIssuer);
  claims.set(kNamespaceClaim, subject.ns);
  claims.set(kSecretClaim, subject.bound_name);
  claims.set(kAccountClaim, subject.service_account);
  claims.set(kAccountUidClaim, subject.service_account_uid);
  claims.set("sub",
             fmt::format("system:serviceaccount:{}:{}", subject.ns, subject.service_account));
  TRY_ASSIGN(const JwtKey* key, this->key());
  return key->sign(claims);
}

// Good for the API server only, and as long as the Secret and the account are there.
Result<UserRef> ServiceAccountTokens::check_secret(
    const Value& claims, const std::string& token,
    const std::vector<std::string>& audiences) const {
  if (!lookup_) return refused("the server is not ready to verify tokens");
  bool ours = audiences.empty();
  for (const std::string& a : this->audiences()) {
    ours |= std::find(audiences.begin(), audiences.end(), a) != audiences.end();
  }
  if (!ours) return refused("token audiences do not match");
  std::string ns = claims[kNamespaceClaim].text();
  ObjectRef secret = lookup_("secrets", ns, claims[kSecretClaim].text());
  if (!secret || secret->deleting) return refused("service account token has been invalidated");
  TRY_ASSIGN(Value value, json::parse(secret->json));
  auto kept = base::base64_decode(value["data"]["token"].as_string());
  if (!kept.ok() || *kept != token) return refused("token does not match server's copy");
  ObjectRef account = lookup_("serviceaccounts", ns, claims[kAccountClaim].text());
  if (!account || account->deleting || account->uid != claims[kAccountUidClaim].as_string()) {
    return refused("service account token has been invalidated");
  }
  auto user = std::make_shared<UserInfo>();
  user->name = claims["sub"].text();
  user->uid = account->uid;
  user->groups = {"system:serviceaccounts", "system:serviceaccounts:" + ns, kAuthenticatedGroup};
  return UserRef(std::move(user));
}

Result<UserRef> ServiceAccountTokens::check_claims(
    const Value& claims, const std::vector<std::string>& audiences) const {
  int64_t now = clock_.now_us() / 1000000;
  if (claims["iss"].as_string() != issuer_) return refused("token has another issuer");
  if (now > claims["exp"].as_int() + kLeewaySeconds) {
    return refused("service account token has expired");
  }
  if (now + kLeewaySeconds < claims["nbf"].as_int()) return refused("token is not valid yet");
  if (!intended_for(claims["aud"], audiences)) {
    std::vector<std::string> own;
    for (const Value& a : claims["aud"].elements()) own.push_back(a.text());
    return refused(fmt::format("token audiences {} is invalid for the target audiences {}",
                               quoted(own), quoted(audiences)));
  }
  TRY(check_bound(claims));

  const Value& k = claims["kubernetes.io"];
  auto user = std::make_shared<UserInfo>();
  std::string ns = k["namespace"].text();
  user->name = claims["sub"].text();
  user->uid = k["serviceaccount"]["uid"].text();
  user->groups = {"system:serviceaccounts", "system:serviceaccounts:" + ns, kAuthenticatedGroup};
  user->extra["authentication.kubernetes.io/credential-id"] = {"JTI=" + claims["jti"].text()};
  if (k["pod"].is_object()) {
    user->extra["authentication.kubernetes.io/pod-name"] = {k["pod"]["name"].text()};
    user->extra["authentication.kubernetes.io/pod-uid"] = {k["pod"]["uid"].text()};
  }
  if (k["node"].is_object()) {
    user->extra["authentication.kubernetes.io/node-name"] = {k["node"]["name"].text()};
    user->extra["authentication.kubernetes.io/node-uid"] = {k["node"]["uid"].text()};
  }
  return UserRef(std::move(user));
}

// Whether the time of a deletion is past.
bool ServiceAccountTokens::is_over(const Object& object) const {
  if (!object.deleting) return false;
  Result<Value> value = json::parse(object.json);
  if (!value.ok()) return true;
  auto due = base::parse_time((*value)["metadata"]["deletionTimestamp"].as_string());
  return !due.ok() || clock_.now_us() / 1000000 > *due / 1000000 + kDeletionLeewaySeconds;
}

Result<void> ServiceAccountTokens::check_bound(const Value& claims) const {
  if (!lookup_) return refused("the server is not ready to verify tokens");
  const Value& k = claims["kubernetes.io"];
  std::string ns = k["namespace"].text();
  struct Bound {
    const char* claim;
    const char* resource;
    bool namespaced;
  };
  for (const Bound& b : {Bound{"serviceaccount", "serviceaccounts", true},
                         Bound{"pod", "pods", true}, Bound{"secret", "secrets", true}}) {
    const Value& claim = k[b.claim];
    if (!claim.is_object()) continue;
    ObjectRef object = lookup_(b.resource, b.namespaced ? ns : "", claim["name"].text());
    if (!object && b.claim == std::string_view("serviceaccount")) {
      return refused(fmt::format("serviceaccounts \"{}\" not found", claim["name"].as_string()));
    }
    if (!object || object->uid != claim["uid"].as_string() || is_over(*object)) {
      return refused("service account token has been invalidated");
    }
  }
  // Of a pod's token the node is told only: the pod ends with it.
  const Value& node = k["node"];
  if (node.is_object() && !k["pod"].is_object()) {
    ObjectRef object = lookup_("nodes", "", node["name"].text());
    if (!object || object->uid != node["uid"].as_string()) {
      return refused("service account token has been invalidated");
    }
  }
  return {};
}

std::string ServiceAccountTokens::openid_configuration() const {
  Value v = Value::object();
  v.set("issuer", issuer_);
  v.set("jwks_uri", issuer_ + "/openid/v1/jwks");
  v.set("response_types_supported", Value::array({"id_token"}));
  v.set("subject_types_supported", Value::array({"public"}));
  v.set("id_token_signing_alg_values_supported", Value::array({"RS256"}));
  return json::write(v);
}

std::string ServiceAccountTokens::jwks() const {
  Value keys = Value::array();
  if (auto key = this->key(); key.ok()) keys.push_back((*key)->jwk());
  return json::write(Value::object({{"keys", std::move(keys)}}));
}

}  // namespace knarr::server
