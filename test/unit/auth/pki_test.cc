#include "net/pki.h"

#include <catch2/catch.hpp>

#include "net/x509.h"
#include "server/auth/signing_request.h"

using namespace knarr::net;
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

// How many parts the subject has.
int subject_size(const std::string& pem) {
  auto certificate = x509::parse_certificate(pem);
  return X509_NAME_entry_count(X509_get_subject_name(certificate->get()));
}

TEST_CASE("of several common names the last counts, and the certificate has no other") {
  // Subject: O=devs, CN=first, CN=last.
  const char* request =
      "-----BEGIN CERTIFICATE REQUEST-----\n"
      "MIHqMIGQAgEAMC4xDTALBgNVBAoMBGRldnMxDjAMBgNVBAMMBWZpcnN0MQ0wCwYD\n"
      "VQQDDARsYXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEvD6oN00yNRdgK2vQ\n"
      "0YP7PKXENNye4MlX905zBtz7M8tiMW4iK1AeKddAo3qs14hWX8XlCNU3vAXOS3K0\n"
      "4XwQXKAAMAoGCCqGSM49BAMCA0kAMEYCIQDm3qdpsgAmy4IpCxBtRS+l9NfraI2L\n"
      "MpGiN4/aPbmX4AIhAO0bnzANF0nmnF/CAsQoJcoAFgyfb8GBWOrKQC51nXxu\n"
      "-----END CERTIFICATE REQUEST-----\n";
  auto asked = read_signing_request(request);
  REQUIRE(asked.ok());
  CHECK(asked->common_name == "last");
  KeyPair ca = *make_ca("knarr-ca", kNow);
  auto made = sign_request(ca, request, {{"client auth"}, kNow, kNow + 3600});
  REQUIRE(made.ok());
  auto info = read_certificate(*made);
  REQUIRE(info.ok());
  CHECK(info->common_name == "last");
  CHECK(subject_size(*made) == 2);
  CHECK(info->organizations == std::vector<std::string>{"devs"});
}

namespace {

// A request for these names, in OpenSSL's words.
std::string request_for(const char* names) {
  auto key = x509::parse_key(*generate_ec_key());
  x509::SigningRequest request(X509_REQ_new());
  X509_REQ_set_pubkey(request.get(), key->get());
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, nullptr, nullptr, request.get(), nullptr, 0);
  x509::Extensions list(sk_X509_EXTENSION_new_null());
  sk_X509_EXTENSION_push(list.get(),
                         X509V3_EXT_conf_nid(nullptr, &context, NID_subject_alt_name, names));
  X509_REQ_add_extensions(request.get(), list.get());
  X509_REQ_sign(request.get(), key->get(), EVP_sha256());
  x509::Bio bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509_REQ(bio.get(), request.get());
  return x509::take(bio.get());
}

}  // namespace

TEST_CASE("what is asked for is read whole, or not signed") {
  struct Case {
    const char* names;
    const char* why;  // empty: it is read
  };
  const char* kOthers = "subjectAltNames may be DNS names, IP addresses, emails and URIs alone";
  for (const Case& c : {
           Case{"DNS:n1,IP:10.0.0.2,IP:fd00::2,email:a@b.c,URI:spiffe://a/b", ""},
           Case{"DNS:n1,RID:1.2.3.4", kOthers},
           Case{"otherName:1.2.3.4;UTF8:x", kOthers},
           Case{"DER:300787050a00000105", "x509: cannot parse IP address of length 5"},
           Case{"DER:30028700", "x509: cannot parse IP address of length 0"},
       }) {
    CAPTURE(c.names);
    auto asked = read_signing_request(request_for(c.names));
    CHECK((asked.ok() ? "" : asked.error().message) == c.why);
    if (!asked.ok()) CHECK(asked.error().code == knarr::Code::kInvalid);
  }
}
