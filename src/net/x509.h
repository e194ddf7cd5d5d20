// OpenSSL's X.509 types with owners, and the few steps that the files of this folder share. Not for
// others: it includes OpenSSL's headers.
#pragma once

#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "knarr/result.h"

namespace knarr::net::x509 {

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* p) const {
    Free(p);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freer<X509_free>>;
using SigningRequest = std::unique_ptr<X509_REQ, Freer<X509_REQ_free>>;
using Bio = std::unique_ptr<BIO, Freer<BIO_free_all>>;
using BigNumber = std::unique_ptr<BIGNUM, Freer<BN_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Freer<X509_EXTENSION_free>>;
inline void free_extensions(STACK_OF(X509_EXTENSION) * list) {
  sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
}
using Extensions = std::unique_ptr<STACK_OF(X509_EXTENSION), Freer<free_extensions>>;
using Names = std::unique_ptr<GENERAL_NAMES, Freer<GENERAL_NAMES_free>>;

// "<what>: <OpenSSL's words>"; empties its queue of errors.
Error ssl_error(const std::string& what);

std::string take(BIO* bio);  // what was written to it
Result<Certificate> parse_certificate(std::string_view pem);
Result<Key> parse_key(std::string_view pem);
Result<std::string> certificate_pem(X509* certificate);

// Version 3, a random 127 bit serial number, public key and validity.
struct Validity {
  int64_t from_seconds = 0;
  int64_t to_seconds = 0;
};
Result<Certificate> unsigned_certificate(EVP_PKEY* key, Validity validity);
// `value` as in OpenSSL's configuration files.
Result<void> add_extension(X509* certificate, X509* issuer, int nid, const char* value);

// SHA-256 of a key's SubjectPublicKeyInfo, in hex.
Result<std::string> fingerprint_of(EVP_PKEY* key);

std::string text_of(const ASN1_STRING* s);
std::vector<std::string> name_entries(const X509_NAME* name, int nid);

}  // namespace knarr::net::x509
