// X.509 for one cluster: keys, a certificate authority, leaf certificates, fingerprints.
// Pure of files and sockets; key generation takes up to 0.1 s (RSA) and may run on any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "knarr/result.h"

namespace knarr::net {

// Both PEM. The key is PKCS#8.
struct KeyPair {
  std::string certificate;
  std::string key;
};

Result<std::string> generate_ec_key();           // P-256, PEM
Result<std::string> generate_rsa_key(int bits);  // PEM

// SHA-256 in hex: of any bytes; of a private key's public part (its SubjectPublicKeyInfo).
std::string fingerprint(std::string_view bytes);
Result<std::string> key_fingerprint(std::string_view key_pem);

struct CertificateRequest {
  std::string common_name;
  std::vector<std::string> organizations;
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;  // text; what is not an address is an error
  bool server = false;                    // extended key usage serverAuth
  bool client = false;                    // extended key usage clientAuth
};

constexpr int64_t kCaLifetimeDays = 3650;
constexpr int64_t kLeafLifetimeDays = 365;

// A self-signed authority, valid from an hour before now_seconds (clocks differ).
Result<KeyPair> make_ca(const std::string& common_name, int64_t now_seconds);

// A leaf with a new P-256 key, signed by the authority.
Result<KeyPair> make_leaf(const KeyPair& ca, const CertificateRequest& request,
                          int64_t now_seconds);

// A signing request (PKCS #10, PEM) for this private key: subject, names and addresses.
Result<std::string> make_signing_request(std::string_view key_pem,
                                         const CertificateRequest& request);

// What a certificate says of itself.
struct CertificateInfo {
  std::string common_name;
  std::vector<std::string> organizations;
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;
  int64_t not_before_seconds = 0;
  int64_t not_after_seconds = 0;
  std::string key_fingerprint;  // of its public key, as key_fingerprint()
};
Result<CertificateInfo> read_certificate(std::string_view pem);

// Whether the certificate was signed by the authority's key.
bool signed_by(std::string_view certificate_pem, std::string_view ca_pem);

}  // namespace knarr::net
