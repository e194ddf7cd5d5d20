#include "server/auth/authenticators.h"

namespace knarr::server {

UserRef user_of_certificate(const net::PeerCertificate& certificate) {
  auto user = std::make_shared<UserInfo>();
  user->name = certificate.common_name;
  user->groups = certificate.organizations;
  user->groups.push_back(kAuthenticatedGroup);
  return user;
}

RequestAuthenticator::RequestAuthenticator(std::unique_ptr<TokenFile> static_tokens,
                                           const ServiceAccountTokens& service_accounts)
    : static_tokens_(std::move(static_tokens)), service_accounts_(service_accounts) {}

void RequestAuthenticator::authenticate(const net::Request& request, Done done) {
  const auto& connection = request.connection;
  if (connection && connection->certificate && connection->certificate->verified &&
      !connection->certificate->common_name.empty()) {
    done(user_of_certificate(*connection->certificate));
    return;
  }
  Result<UserRef> user = service_account(request);
  if ((user.ok() && *user) || !static_tokens_) {
    done(std::move(user));
    return;
  }
  static_tokens_->authenticate(request, std::move(done));
}

// Null when the token is not of this kind; a token of no kind at all is refused.
Result<UserRef> RequestAuthenticator::service_account(const net::Request& request) const {
  std::string token(bearer_token(request));
  if (token.empty()) return UserRef();
  TRY_ASSIGN(UserRef user, service_accounts_.verify(token, {}));
  if (!user && !static_tokens_) return make_error(Code::kUnauthorized, "invalid bearer token");
  return user;
}

}  // namespace knarr::server
