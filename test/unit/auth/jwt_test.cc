#include "server/auth/jwt.h"

#include <catch2/catch.hpp>

#include "server/auth/pki.h"

using namespace knarr::server;
using knarr::json::Value;

TEST_CASE("base64url of RFC 4648, without padding") {
  for (auto [plain, coded] : std::vector<std::pair<std::string, std::string>>{
           {"", ""}, {"f", "Zg"}, {"fo", "Zm8"}, {"foo", "Zm9v"}, {"\xfb\xff", "-_8"}}) {
    CHECK(base64url(plain) == coded);
    CHECK(*base64url_decode(coded) == plain);
  }
  CHECK_FALSE(base64url_decode("a+b").ok());
}

TEST_CASE("a token is good for the key that signed it, and only whole") {
  JwtKey key = *JwtKey::from_pem(*generate_rsa_key(2048));
  JwtKey other = *JwtKey::from_pem(*generate_rsa_key(2048));
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
  JwtKey key = *JwtKey::from_pem(*generate_rsa_key(2048));
  std::string none = base64url("{\"alg\":\"none\"}") + "." + base64url("{\"sub\":\"x\"}") + ".";
  CHECK_FALSE(key.verify(none).ok());
}

TEST_CASE("an EC key is no service account key") {
  CHECK_FALSE(JwtKey::from_pem(*generate_ec_key()).ok());
}
