#include "certificates.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <utility>
#include <vector>

namespace knarr::net {

namespace {

struct Identity {
  EVP_PKEY* key = nullptr;
  X509* cert = nullptr;
};

std::string read_all(BIO* bio) {
  char* bytes = nullptr;
  long size = BIO_get_mem_data(bio, &bytes);
  std::string text(bytes, static_cast<size_t>(size));
  BIO_free(bio);
  return text;
}

std::string cert_pem(X509* cert) {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, cert);
  return read_all(bio);
}

std::string key_pem(EVP_PKEY* key) {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  return read_all(bio);
}

void extend(X509* cert, int nid, const char* value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
  X509_add_ext(cert, extension, -1);
  X509_EXTENSION_free(extension);
}

// issuer null: signed by itself.
Identity issue(const std::string& name, const std::vector<std::string>& organizations,
               const Identity* issuer, const std::vector<std::pair<int, const char*>>& extensions) {
  static long serial = 1;
  Identity out;
  out.key = EVP_EC_gen("P-256");
  out.cert = X509_new();
  X509_set_version(out.cert, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(out.cert), serial++);
  X509_gmtime_adj(X509_getm_notBefore(out.cert), -60);
  X509_gmtime_adj(X509_getm_notAfter(out.cert), 3600);
  X509_NAME* subject = X509_get_subject_name(out.cert);
  auto add = [subject](const char* field, const std::string& value) {
    X509_NAME_add_entry_by_txt(subject, field, MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(value.c_str()), -1, -1, 0);
  };
  for (const std::string& organization : organizations) add("O", organization);
  add("CN", name);
  X509_set_issuer_name(out.cert, issuer ? X509_get_subject_name(issuer->cert) : subject);
  X509_set_pubkey(out.cert, out.key);
  for (const auto& [nid, value] : extensions) extend(out.cert, nid, value);
  X509_sign(out.cert, issuer ? issuer->key : out.key, EVP_sha256());
  return out;
}

TestCertificates make() {
  Identity ca =
      issue("test-ca", {}, nullptr,
            {{NID_basic_constraints, "critical,CA:TRUE"}, {NID_key_usage, "critical,keyCertSign"}});
  Identity other = issue("other-ca", {}, nullptr, {{NID_basic_constraints, "critical,CA:TRUE"}});
  Identity server = issue(
      "server", {}, &ca,
      {{NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1"}, {NID_ext_key_usage, "serverAuth"}});
  Identity client =
      issue("jane", {"dev", "system:masters"}, &ca, {{NID_ext_key_usage, "clientAuth"}});
  Identity stranger = issue("mallory", {"x"}, &other, {{NID_ext_key_usage, "clientAuth"}});
  TestCertificates out;
  out.ca = cert_pem(ca.cert);
  out.server_cert = cert_pem(server.cert);
  out.server_key = key_pem(server.key);
  out.client_cert = cert_pem(client.cert);
  out.client_key = key_pem(client.key);
  out.stranger_cert = cert_pem(stranger.cert);
  out.stranger_key = key_pem(stranger.key);
  for (Identity* i : {&ca, &other, &server, &client, &stranger}) {
    EVP_PKEY_free(i->key);
    X509_free(i->cert);
  }
  return out;
}

}  // namespace

const TestCertificates& test_certificates() {
  static const TestCertificates made = make();
  return made;
}

}  // namespace knarr::net
