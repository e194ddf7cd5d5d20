// Certificates for tests: a CA, a server's leaf for localhost and 127.0.0.1, a client's leaf, and a
// client's leaf that the CA did not sign. Made once a process.
#pragma once

#include <string>

namespace knarr::net {

struct TestCertificates {
  std::string ca, server_cert, server_key, client_cert, client_key, stranger_cert, stranger_key;
};

const TestCertificates& test_certificates();

}  // namespace knarr::net
