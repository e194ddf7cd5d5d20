#include "server/auth/pki.h"

#include <catch2/catch.hpp>

using namespace knarr::server;

constexpr int64_t kNow = 1800000000;

TEST_CASE("a leaf carries what was asked for and is signed by its authority") {
  KeyPair ca = *make_ca("knarr-ca", kNow);
  CertificateRequest request{
      "kube", {"system:masters", "devs"}, {"kubernetes", "localhost"}, {"10.43.0.1", "::1"}, true,
      true};
  KeyPair leaf = *make_leaf(ca, request, kNow);
  CertificateInfo info = *read_certificate(leaf.certificate);
  CHECK(info.common_name == "kube");
  CHECK(info.organizations == std::vector<std::string>{"system:masters", "devs"});
  CHECK(info.dns_names == std::vector<std::string>{"kubernetes", "localhost"});
  CHECK(info.ip_addresses == std::vector<std::string>{"10.43.0.1", "::1"});
  CHECK(info.not_after_seconds == kNow + kLeafLifetimeDays * 86400);
  CHECK(signed_by(leaf.certificate, ca.certificate));
  CHECK_FALSE(signed_by(leaf.certificate, make_ca("knarr-ca", kNow)->certificate));
}

TEST_CASE("what is no certificate or address is an error") {
  KeyPair ca = *make_ca("knarr-ca", kNow);
  CHECK_FALSE(make_leaf(ca, {"x", {}, {}, {"not-an-address"}}, kNow).ok());
  CHECK_FALSE(read_certificate("-----BEGIN CERTIFICATE-----\nAAAA\n").ok());
  CHECK_FALSE(signed_by("", ca.certificate));
}
