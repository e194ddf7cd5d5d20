#include "net/seal.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <memory>

#include "knarr/check.h"

namespace knarr::net {

namespace {

constexpr size_t kKeyBytes = 32;
constexpr size_t kNonceBytes = 12;
constexpr size_t kTagBytes = 16;

struct FreeCipher {
  void operator()(EVP_CIPHER_CTX* c) const { EVP_CIPHER_CTX_free(c); }
};
using Cipher = std::unique_ptr<EVP_CIPHER_CTX, FreeCipher>;

const unsigned char* bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* bytes(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

}  // namespace

Seal::Seal(std::string_view secret, std::string_view purpose) : key_(kKeyBytes, '\0') {
  EVP_KDF* kdf = EVP_KDF_fetch(nullptr, "HKDF", nullptr);
  EVP_KDF_CTX* context = EVP_KDF_CTX_new(kdf);
  EVP_KDF_free(kdf);
  char digest[] = "SHA256";
  std::string input(secret), info(purpose);
  OSSL_PARAM params[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, input.data(), input.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info.data(), info.size()),
      OSSL_PARAM_construct_end()};
  CHECK(EVP_KDF_derive(context, bytes(key_), key_.size(), params) == 1);
  EVP_KDF_CTX_free(context);
}

std::string Seal::close(std::string_view text, std::string_view place) const {
  std::string out(kNonceBytes + text.size() + kTagBytes, '\0');
  CHECK(RAND_bytes(bytes(out), kNonceBytes) == 1);
  Cipher cipher(EVP_CIPHER_CTX_new());
  int done = 0;
  bool good =
      EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, bytes(std::string_view(key_)),
                         bytes(std::string_view(out))) == 1 &&
      EVP_EncryptUpdate(cipher.get(), nullptr, &done, bytes(place),
                        static_cast<int>(place.size())) == 1 &&
      EVP_EncryptUpdate(cipher.get(), bytes(out) + kNonceBytes, &done, bytes(text),
                        static_cast<int>(text.size())) == 1 &&
      EVP_EncryptFinal_ex(cipher.get(), bytes(out) + kNonceBytes + text.size(), &done) == 1 &&
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes,
                          bytes(out) + kNonceBytes + text.size()) == 1;
  CHECK(good);
  return out;
}

Result<std::string> Seal::open(std::string_view sealed, std::string_view place) const {
  if (sealed.size() < kNonceBytes + kTagBytes) {
    return make_error(Code::kInvalid, "a sealed text is longer");
  }
  std::string_view nonce = sealed.substr(0, kNonceBytes);
  std::string tag(sealed.substr(sealed.size() - kTagBytes));
  std::string_view text = sealed.substr(kNonceBytes, sealed.size() - kNonceBytes - kTagBytes);
  std::string out(text.size(), '\0');
  Cipher cipher(EVP_CIPHER_CTX_new());
  int done = 0;
  unsigned char rest[16];
  bool good = EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr,
                                 bytes(std::string_view(key_)), bytes(nonce)) == 1 &&
              EVP_DecryptUpdate(cipher.get(), nullptr, &done, bytes(place),
                                static_cast<int>(place.size())) == 1 &&
              EVP_DecryptUpdate(cipher.get(), bytes(out), &done, bytes(text),
                                static_cast<int>(text.size())) == 1 &&
              EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, kTagBytes, bytes(tag)) == 1 &&
              EVP_DecryptFinal_ex(cipher.get(), rest, &done) == 1;
  ERR_clear_error();
  if (!good) return make_error(Code::kInvalid, "sealed with another key, or for another place");
  return out;
}

}  // namespace knarr::net
