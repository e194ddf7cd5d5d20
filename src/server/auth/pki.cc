#include "server/auth/pki.h"

#include <arpa/inet.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>

namespace knarr::server {

namespace {

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* p) const {
    Free(p);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freer<X509_free>>;
using Bio = std::unique_ptr<BIO, Freer<BIO_free_all>>;
using BigNumber = std::unique_ptr<BIGNUM, Freer<BN_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Freer<X509_EXTENSION_free>>;
using Names = std::unique_ptr<GENERAL_NAMES, Freer<GENERAL_NAMES_free>>;

Error ssl_error(const std::string& what) {
  char text[256] = "unknown error";
  if (unsigned long code = ERR_get_error(); code != 0) ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return make_error(Code::kInternalError, what + ": " + text);
}

std::string take(BIO* bio) {
  char* data = nullptr;
  long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<size_t>(size)};
}

Result<std::string> key_pem(EVP_PKEY* key) {
  Bio bio(BIO_new(BIO_s_mem()));
  if (!PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr)) {
    return ssl_error("write private key");
  }
  return take(bio.get());
}

Result<std::string> certificate_pem(X509* certificate) {
  Bio bio(BIO_new(BIO_s_mem()));
  if (!PEM_write_bio_X509(bio.get(), certificate)) return ssl_error("write certificate");
  return take(bio.get());
}

Result<Certificate> parse_certificate(std::string_view pem) {
  Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (!certificate) return ssl_error("read certificate");
  return certificate;
}

Result<Key> parse_key(std::string_view pem) {
  Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
  if (!key) return ssl_error("read private key");
  return key;
}

Result<void> add_extension(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  if (!extension || !X509_add_ext(certificate, extension.get(), -1)) {
    return ssl_error("add certificate extension");
  }
  return {};
}

void add_name(X509_NAME* name, const char* field, const std::string& value) {
  X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(value.data()),
                             static_cast<int>(value.size()), -1, 0);
}

// Version, a random 127 bit serial number, validity, subject and public key.
Result<Certificate> unsigned_certificate(EVP_PKEY* key, int64_t now_seconds, int64_t days) {
  Certificate certificate(X509_new());
  BigNumber serial(BN_new());
  if (!certificate || !serial || !BN_rand(serial.get(), 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) ||
      !BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(certificate.get()))) {
    return ssl_error("new certificate");
  }
  X509_set_version(certificate.get(), X509_VERSION_3);
  ASN1_TIME_set(X509_getm_notBefore(certificate.get()), now_seconds - 3600);
  ASN1_TIME_set(X509_getm_notAfter(certificate.get()), now_seconds + days * 86400);
  X509_set_pubkey(certificate.get(), key);
  return certificate;
}

Result<Names> alternative_names(const CertificateRequest& request) {
  Names names(sk_GENERAL_NAME_new_null());
  for (const std::string& dns : request.dns_names) {
    GENERAL_NAME* name = GENERAL_NAME_new();
    ASN1_IA5STRING* text = ASN1_IA5STRING_new();
    ASN1_STRING_set(text, dns.data(), static_cast<int>(dns.size()));
    GENERAL_NAME_set0_value(name, GEN_DNS, text);
    sk_GENERAL_NAME_push(names.get(), name);
  }
  for (const std::string& ip : request.ip_addresses) {
    unsigned char bytes[16];
    int size = inet_pton(AF_INET, ip.c_str(), bytes) == 1    ? 4
               : inet_pton(AF_INET6, ip.c_str(), bytes) == 1 ? 16
                                                             : 0;
    if (size == 0) return make_error(Code::kInvalid, "not an IP address: " + ip);
    GENERAL_NAME* name = GENERAL_NAME_new();
    ASN1_OCTET_STRING* octets = ASN1_OCTET_STRING_new();
    ASN1_OCTET_STRING_set(octets, bytes, size);
    GENERAL_NAME_set0_value(name, GEN_IPADD, octets);
    sk_GENERAL_NAME_push(names.get(), name);
  }
  return names;
}

std::string key_usage(const CertificateRequest& request) {
  std::string usage;
  if (request.server) usage = "serverAuth";
  if (request.client) usage += usage.empty() ? "clientAuth" : ",clientAuth";
  return usage;
}

std::string text_of(const ASN1_STRING* s) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(s)),
          static_cast<size_t>(ASN1_STRING_length(s))};
}

std::vector<std::string> name_entries(const X509_NAME* name, int nid) {
  std::vector<std::string> values;
  for (int i = -1; (i = X509_NAME_get_index_by_NID(name, nid, i)) >= 0;) {
    values.push_back(text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, i))));
  }
  return values;
}

}  // namespace

Result<std::string> generate_ec_key() {
  Key key(EVP_EC_gen("P-256"));
  if (!key) return ssl_error("generate EC key");
  return key_pem(key.get());
}

Result<std::string> generate_rsa_key(int bits) {
  Key key(EVP_RSA_gen(static_cast<unsigned>(bits)));
  if (!key) return ssl_error("generate RSA key");
  return key_pem(key.get());
}

Result<KeyPair> make_ca(const std::string& common_name, int64_t now_seconds) {
  KeyPair ca;
  TRY_ASSIGN(ca.key, generate_ec_key());
  TRY_ASSIGN(Key key, parse_key(ca.key));
  TRY_ASSIGN(Certificate certificate,
             unsigned_certificate(key.get(), now_seconds, kCaLifetimeDays));
  X509* x = certificate.get();
  add_name(X509_get_subject_name(x), "CN", common_name);
  X509_set_issuer_name(x, X509_get_subject_name(x));
  TRY(add_extension(x, x, NID_basic_constraints, "critical,CA:TRUE"));
  TRY(add_extension(x, x, NID_key_usage, "critical,digitalSignature,keyEncipherment,keyCertSign"));
  TRY(add_extension(x, x, NID_subject_key_identifier, "hash"));
  if (!X509_sign(x, key.get(), EVP_sha256())) return ssl_error("sign certificate authority");
  TRY_ASSIGN(ca.certificate, certificate_pem(x));
  return ca;
}

Result<KeyPair> make_leaf(const KeyPair& ca, const CertificateRequest& request,
                          int64_t now_seconds) {
  TRY_ASSIGN(Certificate issuer, parse_certificate(ca.certificate));
  TRY_ASSIGN(Key issuer_key, parse_key(ca.key));
  KeyPair leaf;
  TRY_ASSIGN(leaf.key, generate_ec_key());
  TRY_ASSIGN(Key key, parse_key(leaf.key));
  TRY_ASSIGN(Certificate certificate,
             unsigned_certificate(key.get(), now_seconds, kLeafLifetimeDays));
  X509* x = certificate.get();
  for (const std::string& organization : request.organizations) {
    add_name(X509_get_subject_name(x), "O", organization);
  }
  add_name(X509_get_subject_name(x), "CN", request.common_name);
  X509_set_issuer_name(x, X509_get_subject_name(issuer.get()));
  TRY(add_extension(x, issuer.get(), NID_key_usage, "critical,digitalSignature,keyEncipherment"));
  TRY(add_extension(x, issuer.get(), NID_basic_constraints, "critical,CA:FALSE"));
  TRY(add_extension(x, issuer.get(), NID_authority_key_identifier, "keyid:always"));
  if (std::string usage = key_usage(request); !usage.empty()) {
    TRY(add_extension(x, issuer.get(), NID_ext_key_usage, usage.c_str()));
  }
  TRY_ASSIGN(Names names, alternative_names(request));
  if (sk_GENERAL_NAME_num(names.get()) > 0 &&
      !X509_add1_ext_i2d(x, NID_subject_alt_name, names.get(), 0, 0)) {
    return ssl_error("add subject alternative names");
  }
  if (!X509_sign(x, issuer_key.get(), EVP_sha256())) return ssl_error("sign certificate");
  TRY_ASSIGN(leaf.certificate, certificate_pem(x));
  return leaf;
}

Result<CertificateInfo> read_certificate(std::string_view pem) {
  TRY_ASSIGN(Certificate certificate, parse_certificate(pem));
  CertificateInfo info;
  const X509_NAME* subject = X509_get_subject_name(certificate.get());
  std::vector<std::string> common_names = name_entries(subject, NID_commonName);
  if (!common_names.empty()) info.common_name = common_names.back();
  info.organizations = name_entries(subject, NID_organizationName);
  Names names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); i++) {
    int type = 0;
    void* value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names.get(), i), &type);
    std::string bytes = text_of(static_cast<const ASN1_STRING*>(value));
    if (type == GEN_DNS) info.dns_names.push_back(bytes);
    if (type == GEN_IPADD) {
      char text[INET6_ADDRSTRLEN];
      inet_ntop(bytes.size() == 4 ? AF_INET : AF_INET6, bytes.data(), text, sizeof text);
      info.ip_addresses.emplace_back(text);
    }
  }
  tm end = {};
  ASN1_TIME_to_tm(X509_get0_notAfter(certificate.get()), &end);
  info.not_after_seconds = timegm(&end);
  return info;
}

bool signed_by(std::string_view certificate_pem, std::string_view ca_pem) {
  auto certificate = parse_certificate(certificate_pem);
  auto ca = parse_certificate(ca_pem);
  bool good = certificate.ok() && ca.ok() &&
              X509_verify(certificate->get(), X509_get0_pubkey(ca->get())) == 1;
  ERR_clear_error();
  return good;
}

}  // namespace knarr::server
