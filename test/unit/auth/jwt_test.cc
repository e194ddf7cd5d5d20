#include "server/auth/jwt.h"

#include <catch2/catch.hpp>

#include "net/pki.h"

using namespace knarr::server;
using knarr::json::Value;

TEST_CASE("a token is good for the key that signed it, and only whole") {
  JwtKey key = *JwtKey::from_pem(*knarr::net::generate_rsa_key(2048));
  JwtKey other = *JwtKey::from_pem(*knarr::net::generate_rsa_key(2048));
  std::string token = key.sign(Value::object({{"sub", "system:serviceaccount:a:b"}}));
  auto claims = key.verify(token);
  REQUIRE(claims.ok());
  CHECK((*claims)["sub"].as_string() == "system:serviceaccount:a:b");
  CHECK_FALSE(other.verify(token).ok());

  std::string changed = token;
  changed[token.find('.') + 5] ^= 1;
  for (const std::string& bad : {std::string(""), std::string("a.b"), std::string("a.b.c"),
                                 token + "x", token + ".x", changed}) {
    auto result = key.verify(bad);
    REQUIRE_FALSE(result.ok());
    CHECK(result.error().code == knarr::Code::kUnauthorized);
  }
}

TEST_CASE("a token without a signature is refused") {
  JwtKey key = *JwtKey::from_pem(*knarr::net::generate_rsa_key(2048));
  std::string none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.";
  CHECK_FALSE(key.verify(none).ok());
}

TEST_CASE("an EC key is no service account key") {
  CHECK_FALSE(JwtKey::from_pem(*knarr::net::generate_ec_key()).ok());
}
