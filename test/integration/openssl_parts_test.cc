// The parts of OpenSSL that a release carries (src/net/openssl_parts.cc), linked as a release links
// them: every kind of key is made, written, read and signed with, and a handshake runs with every
// cipher suite and group that knarr offers. Nothing here uses src/net beyond that file, which a
// program that links OpenSSL's shared library does not need.
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <string>

namespace {

int failures = 0;

void expect(bool ok, const std::string& what) {
  if (ok) return;
  failures++;
  std::printf("FAILED: %s: %s\n", what.c_str(), ERR_error_string(ERR_get_error(), nullptr));
  ERR_clear_error();
}

EVP_PKEY* make_key(const std::string& kind) {
  if (kind == "RSA") return EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", size_t{2048});
  if (kind == "ED25519") return EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  return EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", kind.c_str());
}

// Through PEM and back.
EVP_PKEY* reread(EVP_PKEY* key, const EVP_CIPHER* cipher, const std::string& what) {
  char password[] = "secret";
  BIO* bio = BIO_new(BIO_s_mem());
  expect(PEM_write_bio_PKCS8PrivateKey(bio, key, cipher, password, 6, nullptr, nullptr) == 1,
         "write key " + what);
  EVP_PKEY* read = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, password);
  expect(read != nullptr && EVP_PKEY_eq(read, key) == 1, "read key " + what);
  BIO_free(bio);
  return read;
}

X509* make_certificate(EVP_PKEY* key, const EVP_MD* digest, const std::string& what) {
  X509* cert = X509_new();
  X509_set_version(cert, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
  X509_gmtime_adj(X509_getm_notBefore(cert), -60);
  X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
  X509_NAME* name = X509_get_subject_name(cert);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
  X509_set_issuer_name(cert, name);
  expect(X509_set_pubkey(cert, key) == 1, "set public key " + what);
  X509V3_CTX context;
  X509V3_set_ctx(&context, cert, cert, nullptr, nullptr, 0);
  const struct {
    int nid;
    const char* value;
  } extensions[] = {{NID_basic_constraints, "critical,CA:TRUE"},
                    {NID_key_usage, "critical,digitalSignature,keyEncipherment,keyCertSign"},
                    {NID_ext_key_usage, "serverAuth,clientAuth"},
                    {NID_subject_key_identifier, "hash"},
                    {NID_authority_key_identifier, "keyid"},
                    {NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1"}};
  for (const auto& [nid, value] : extensions) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value);
    expect(extension != nullptr && X509_add_ext(cert, extension, -1) == 1, value);
    X509_EXTENSION_free(extension);
  }
  expect(X509_sign(cert, key, digest) > 0, "sign certificate " + what);
  expect(X509_verify(cert, key) == 1, "verify certificate " + what);
  return cert;
}

struct Choice {
  int version;
  const char* suite;  // nullptr: any
  const char* group;
};

void handshake(EVP_PKEY* key, X509* cert, const Choice& choice, const std::string& what) {
  std::string name = what + (choice.version == TLS1_3_VERSION ? " TLS 1.3 " : " TLS 1.2 ") +
                     (choice.suite != nullptr ? choice.suite : "") + " " +
                     (choice.group != nullptr ? choice.group : "");
  SSL_CTX* server = SSL_CTX_new(TLS_server_method());
  SSL_CTX* client = SSL_CTX_new(TLS_client_method());
  if (server == nullptr || client == nullptr) return expect(false, "make contexts");
  SSL_CTX_use_certificate(server, cert);
  expect(SSL_CTX_use_PrivateKey(server, key) == 1, "use key " + name);
  X509_STORE_add_cert(SSL_CTX_get_cert_store(client), cert);
  SSL_CTX_set_verify(client, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_max_proto_version(client, choice.version);
  if (choice.suite != nullptr) {
    int set = choice.version == TLS1_3_VERSION ? SSL_CTX_set_ciphersuites(client, choice.suite)
                                               : SSL_CTX_set_cipher_list(client, choice.suite);
    expect(set == 1, "set suite " + name);
  }
  SSL* here = SSL_new(server);
  SSL* there = SSL_new(client);
  SSL_set1_host(there, "localhost");
  if (choice.group != nullptr) SSL_set1_groups_list(there, choice.group);
  BIO* one;
  BIO* other;
  BIO_new_bio_pair(&one, 65536, &other, 65536);
  SSL_set_bio(here, one, one);
  SSL_set_bio(there, other, other);
  SSL_set_accept_state(here);
  SSL_set_connect_state(there);
  bool done = false;
  for (int i = 0; i < 10 && !done; i++) {
    int connected = SSL_do_handshake(there);
    done = SSL_do_handshake(here) == 1 && connected == 1;
  }
  expect(done && SSL_version(there) == choice.version, "handshake " + name);
  char byte = 0;
  expect(SSL_write(there, "x", 1) == 1 && SSL_read(here, &byte, 1) == 1 && byte == 'x',
         "send " + name);
  SSL_free(here);
  SSL_free(there);
  SSL_CTX_free(server);
  SSL_CTX_free(client);
  ERR_clear_error();
}

}  // namespace

int main() {
  // Not among the parts: so it is they that are linked.
  EVP_MD* missing = EVP_MD_fetch(nullptr, "SHA3-256", nullptr);
  expect(missing == nullptr, "the parts are linked");
  ERR_clear_error();
  unsigned char bytes[32];
  expect(RAND_bytes(bytes, sizeof bytes) == 1, "random bytes");

  for (const char* kind : {"RSA", "P-256", "P-384", "ED25519"}) {
    EVP_PKEY* key = make_key(kind);
    expect(key != nullptr, std::string("make key ") + kind);
    EVP_PKEY_free(reread(key, EVP_aes_256_cbc(), std::string("with a password ") + kind));
    EVP_PKEY* read = reread(key, nullptr, kind);
    const EVP_MD* digest = kind == std::string("ED25519") ? nullptr : EVP_sha256();
    X509* cert = make_certificate(read, digest, kind);
    handshake(read, cert, {TLS1_3_VERSION, nullptr, nullptr}, kind);
    handshake(read, cert, {TLS1_2_VERSION, nullptr, nullptr}, kind);
    for (const char* suite :
         {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}) {
      handshake(read, cert, {TLS1_3_VERSION, suite, nullptr}, kind);
    }
    for (const char* group : {"X25519", "P-256", "P-384", "P-521"}) {
      handshake(read, cert, {TLS1_3_VERSION, nullptr, group}, kind);
    }
    if (kind == std::string("RSA")) {
      for (const char* suite :
           {"ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384",
            "ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-RSA-AES128-SHA", "AES128-GCM-SHA256"}) {
        handshake(read, cert, {TLS1_2_VERSION, suite, nullptr}, kind);
      }
    }
    X509_free(cert);
    EVP_PKEY_free(read);
    EVP_PKEY_free(key);
  }
  if (failures == 0) std::printf("ok\n");
  return failures == 0 ? 0 : 1;
}
