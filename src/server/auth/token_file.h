// Static bearer tokens, as kube-apiserver's --token-auth-file: lines of
// token,user,uid[,"group1,group2"].
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "server/auth/auth.h"

namespace knarr::server {

class TokenFile final : public Authenticator {
 public:
  // kBadRequest names the line that is malformed.
  static Result<std::unique_ptr<TokenFile>> parse(std::string_view csv);

  void authenticate(const net::Request& request, Done done) override;

 private:
  std::unordered_map<std::string, UserRef> users_;
};

// The token of "Authorization: Bearer <token>"; empty when there is none.
std::string_view bearer_token(const net::Request& request);

}  // namespace knarr::server
