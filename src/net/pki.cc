#include "net/pki.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include <iterator>

#include "base/format.h"
#include "net/x509.h"

namespace knarr::net {

using namespace x509;  // NOLINT

namespace {

Result<std::string> key_pem(EVP_PKEY* key) {
  Bio bio(BIO_new(BIO_s_mem()));
  if (!PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr)) {
    return ssl_error("write private key");
  }
  return take(bio.get());
}

// From an hour ago, as clocks differ.
Validity days_from(int64_t now_seconds, int64_t days) {
  return {now_seconds - 3600, now_seconds + days * 86400};
}

void add_name(X509_NAME* name, const char* field, const std::string& value) {
  X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(value.data()),
                             static_cast<int>(value.size()), -1, 0);
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

std::string fingerprint(std::string_view bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest, &size, EVP_sha256(), nullptr);
  std::string hex;
  for (unsigned int i = 0; i < size; i++)
    fmt::format_to(std::back_inserter(hex), "{:02x}", digest[i]);
  return hex;
}

Result<std::string> key_fingerprint(std::string_view pem) {
  TRY_ASSIGN(Key key, parse_key(pem));
  return fingerprint_of(key.get());
}

Result<KeyPair> make_ca(const std::string& common_name, int64_t now_seconds) {
  KeyPair ca;
  TRY_ASSIGN(ca.key, generate_ec_key());
  TRY_ASSIGN(Key key, parse_key(ca.key));
  TRY_ASSIGN(Certificate certificate,
             unsigned_certificate(key.get(), days_from(now_seconds, kCaLifetimeDays)));
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
             unsigned_certificate(key.get(), days_from(now_seconds, kLeafLifetimeDays)));
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

Result<std::string> make_signing_request(std::string_view key_text,
                                         const CertificateRequest& request) {
  TRY_ASSIGN(Key key, parse_key(key_text));
  SigningRequest asked(X509_REQ_new());
  if (!asked) return ssl_error("new signing request");
  X509_NAME* subject = X509_REQ_get_subject_name(asked.get());
  for (const std::string& organization : request.organizations) {
    add_name(subject, "O", organization);
  }
  add_name(subject, "CN", request.common_name);
  TRY_ASSIGN(Names names, alternative_names(request));
  if (sk_GENERAL_NAME_num(names.get()) > 0) {
    Extensions extensions(sk_X509_EXTENSION_new_null());
    X509_EXTENSION* one = X509V3_EXT_i2d(NID_subject_alt_name, 0, names.get());
    if (one == nullptr) return ssl_error("add subject alternative names");
    sk_X509_EXTENSION_push(extensions.get(), one);
    X509_REQ_add_extensions(asked.get(), extensions.get());
  }
  if (!X509_REQ_set_pubkey(asked.get(), key.get()) ||
      !X509_REQ_sign(asked.get(), key.get(), EVP_sha256())) {
    return ssl_error("sign the signing request");
  }
  Bio bio(BIO_new(BIO_s_mem()));
  if (!PEM_write_bio_X509_REQ(bio.get(), asked.get())) return ssl_error("write signing request");
  return take(bio.get());
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
    if (type == GEN_IPADD && (bytes.size() == 4 || bytes.size() == 16)) {
      char text[INET6_ADDRSTRLEN];
      inet_ntop(bytes.size() == 4 ? AF_INET : AF_INET6, bytes.data(), text, sizeof text);
      info.ip_addresses.emplace_back(text);
    }
  }
  tm begin = {}, end = {};
  ASN1_TIME_to_tm(X509_get0_notBefore(certificate.get()), &begin);
  ASN1_TIME_to_tm(X509_get0_notAfter(certificate.get()), &end);
  info.not_before_seconds = timegm(&begin);
  info.not_after_seconds = timegm(&end);
  TRY_ASSIGN(info.key_fingerprint, fingerprint_of(X509_get0_pubkey(certificate.get())));
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

}  // namespace knarr::net
