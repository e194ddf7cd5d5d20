#include "server/auth/jwt.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <vector>

#include "base/base64.h"

namespace knarr::server {

namespace {

struct ContextFree {
  void operator()(EVP_MD_CTX* c) const { EVP_MD_CTX_free(c); }
};
using Context = std::unique_ptr<EVP_MD_CTX, ContextFree>;

Error bad_token(const char* why) {
  return make_error(Code::kUnauthorized, std::string("invalid bearer token: ") + why);
}

std::string number_of(EVP_PKEY* key, const char* name) {
  BIGNUM* n = nullptr;
  CHECK(EVP_PKEY_get_bn_param(key, name, &n) == 1);
  std::string bytes(static_cast<size_t>(BN_num_bytes(n)), '\0');
  BN_bn2bin(n, reinterpret_cast<unsigned char*>(bytes.data()));
  BN_free(n);
  return bytes;
}

std::string encode(std::string_view bytes) {
  return base::base64_encode(bytes, base::Base64::kUrl);
}

Result<std::string> decode(std::string_view text) {
  return base::base64_decode(text, base::Base64::kUrl);
}

}  // namespace

struct JwtKey::Impl {
  EVP_PKEY* key = nullptr;
  ~Impl() { EVP_PKEY_free(key); }
};

JwtKey::JwtKey(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
JwtKey::JwtKey(JwtKey&&) noexcept = default;
JwtKey& JwtKey::operator=(JwtKey&&) noexcept = default;
JwtKey::~JwtKey() = default;

Result<JwtKey> JwtKey::from_pem(std::string_view private_key_pem) {
  auto impl = std::make_unique<Impl>();
  BIO* bio = BIO_new_mem_buf(private_key_pem.data(), static_cast<int>(private_key_pem.size()));
  impl->key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  if (impl->key == nullptr || EVP_PKEY_get_base_id(impl->key) != EVP_PKEY_RSA) {
    ERR_clear_error();
    return make_error(Code::kInvalid, "the service account key is not an RSA private key");
  }
  unsigned char* der = nullptr;
  int size = i2d_PUBKEY(impl->key, &der);
  CHECK(size > 0);
  unsigned char digest[32];
  EVP_Digest(der, static_cast<size_t>(size), digest, nullptr, EVP_sha256(), nullptr);
  OPENSSL_free(der);
  JwtKey key(std::move(impl));
  key.key_id_ = encode({reinterpret_cast<char*>(digest), sizeof digest});
  return key;
}

std::string JwtKey::sign(const json::Value& claims) const {
  json::Value header = json::Value::object({{"alg", "RS256"}, {"kid", key_id_}});
  std::string token = encode(json::write(header)) + "." + encode(json::write(claims));
  Context context(EVP_MD_CTX_new());
  size_t size = 0;
  CHECK(EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, impl_->key) == 1);
  const auto* data = reinterpret_cast<const unsigned char*>(token.data());
  CHECK(EVP_DigestSign(context.get(), nullptr, &size, data, token.size()) == 1);
  std::string signature(size, '\0');
  CHECK(EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                       data, token.size()) == 1);
  signature.resize(size);
  return token + "." + encode(signature);
}

Result<json::Value> JwtKey::verify(std::string_view token) const {
  size_t first = token.find('.');
  size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos) {
    return bad_token("not a signed token");
  }
  auto header_text = decode(token.substr(0, first));
  auto header = header_text.ok() ? json::parse(*header_text) : header_text.error();
  if (!header.ok() || (*header)["alg"].as_string() != "RS256") return bad_token("bad header");
  auto signature = decode(token.substr(second + 1));
  if (!signature.ok()) return bad_token("bad signature");

  Context context(EVP_MD_CTX_new());
  CHECK(EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, impl_->key) == 1);
  int good = EVP_DigestVerify(
      context.get(), reinterpret_cast<const unsigned char*>(signature->data()), signature->size(),
      reinterpret_cast<const unsigned char*>(token.data()), second);
  ERR_clear_error();
  if (good != 1) return bad_token("bad signature");
  TRY_ASSIGN(std::string claims, decode(token.substr(first + 1, second - first - 1)));
  return json::parse(claims);
}

json::Value JwtKey::jwk() const {
  return json::Value::object({{"use", "sig"},
                              {"kty", "RSA"},
                              {"kid", key_id_},
                              {"alg", "RS256"},
                              {"n", encode(number_of(impl_->key, OSSL_PKEY_PARAM_RSA_N))},
                              {"e", encode(number_of(impl_->key, OSSL_PKEY_PARAM_RSA_E))}});
}

}  // namespace knarr::server
