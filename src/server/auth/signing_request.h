// Certificate signing requests (PKCS #10): what one asks for, and the certificate an authority
// gives for it. Pure of files and sockets.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "knarr/result.h"
#include "net/pki.h"

namespace knarr::server {

struct SigningRequestInfo {
  std::string common_name;
  std::vector<std::string> organizations;
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;
  std::vector<std::string> emails;
  std::vector<std::string> uris;
  std::string key_fingerprint;  // as net::key_fingerprint
};

// The first PEM block, of type CERTIFICATE REQUEST, signed by its own key. kInvalid also for names
// of kinds that are not listed above: sign_request() would sign what nobody has looked at.
Result<SigningRequestInfo> read_signing_request(std::string_view pem);

struct SigningPolicy {
  std::vector<std::string> usages;  // certificates.k8s.io key usages: "client auth"
  int64_t not_before_seconds = 0;
  int64_t not_after_seconds = 0;  // cut at the end of the authority
};

// The requester's subject, names and key; nothing else of what it asks for.
Result<std::string> sign_request(const net::KeyPair& ca, std::string_view pem,
                                 const SigningPolicy& policy);

}  // namespace knarr::server
