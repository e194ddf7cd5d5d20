// JSON Web Tokens as a Kubernetes API server signs them: RS256 (RFC 7515, RFC 7518), one key.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"
#include "knarr/result.h"

namespace knarr::server {

class JwtKey {
 public:
  static Result<JwtKey> from_pem(std::string_view private_key_pem);
  JwtKey(JwtKey&&) noexcept;
  JwtKey& operator=(JwtKey&&) noexcept;
  ~JwtKey();

  const std::string& key_id() const { return key_id_; }
  std::string sign(const json::Value& claims) const;
  // The claims of a token whose signature is this key's. Says nothing of expiry or audience.
  Result<json::Value> verify(std::string_view token) const;
  // The public key as an entry of a JSON Web Key Set (RFC 7517).
  json::Value jwk() const;

 private:
  struct Impl;
  explicit JwtKey(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
  std::string key_id_;  // base64url of the SHA-256 of the public key in DER
};

}  // namespace knarr::server
