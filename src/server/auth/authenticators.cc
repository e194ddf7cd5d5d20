#include "server/auth/authenticators.h"

namespace knarr::server {

UserRef user_of_certificate(const net::PeerCertificate& certificate) {
  auto user = std::make_shared<UserInfo>();
  user->name = certificate.common_name;
  user->groups = certificate.organizations;
  user->groups.push_back(kAuthenticatedGroup);
  user->key = certificate.key_fingerprint;
  return user;
}

RequestAuthenticator::RequestAuthenticator(std::unique_ptr<TokenFile> static_tokens,
                                           const ServiceAccountTokens& service_accounts,
                                           BootstrapTokens bootstrap_tokens, const Clock& clock)
    : static_tokens_(std::move(static_tokens)),
      service_accounts_(service_accounts),
      bootstrap_tokens_(std::move(bootstrap_tokens)),
      clock_(clock) {}

void RequestAuthenticator::authenticate(const net::Request& request, Done done) {
  Result<UserRef> by_certificate = certificate(request);
  if (by_certificate.ok() && *by_certificate) return done(std::move(by_certificate));
  Result<UserRef> by_token = issued_token(request);
  if (by_token.ok() && *by_token) return done(std::move(by_token));
  bool refused = !by_certificate.ok() || !by_token.ok();
  if (!static_tokens_) {
    return done(by_certificate.ok() ? std::move(by_token) : std::move(by_certificate));
  }
  static_tokens_->authenticate(request, [refused, done = std::move(done)](Result<UserRef> user) {
    // What another way refused is not anonymous for showing nothing to this one.
    bool nobody = user.ok() && *user == nullptr;
    if (nobody && refused) user = make_error(Code::kUnauthorized, "the credentials are not good");
    done(std::move(user));
  });
}

// Null when there is none, or when it names nobody.
Result<UserRef> RequestAuthenticator::certificate(const net::Request& request) const {
  const auto& connection = request.connection;
  if (!connection || !connection->certificate) return UserRef();
  const net::PeerCertificate& shown = *connection->certificate;
  if (!shown.verified) return make_error(Code::kUnauthorized, shown.verify_error);
  if (clock_.now_us() / 1000000 > shown.not_after) {
    return make_error(Code::kUnauthorized, "the certificate has expired");
  }
  if (shown.common_name.empty()) return UserRef();
  return user_of_certificate(shown);
}

// Null when the token is not of this kind; a token of no kind at all is refused.
Result<UserRef> RequestAuthenticator::issued_token(const net::Request& request) const {
  std::string token(bearer_token(request));
  if (token.empty()) return UserRef();
  TRY_ASSIGN(UserRef user, service_accounts_.verify(token, {}));
  if (!user) user = bootstrap_tokens_.verify(token);
  if (!user && !static_tokens_) return make_error(Code::kUnauthorized, "invalid bearer token");
  return user;
}

}  // namespace knarr::server
