#include "server/auth/signing_request.h"

#include <arpa/inet.h>
#include <openssl/err.h>

#include <algorithm>
#include <utility>

#include "net/x509.h"

namespace knarr::server {

namespace {

namespace x509 = net::x509;
using x509::Names;

using x509::Extensions;

// OpenSSL's words for a usage; the second is empty for those that are no extended ones.
struct Usage {
  std::string_view name;
  const char* basic;
  const char* extended;
};
constexpr Usage kUsages[] = {
    {"signing", "digitalSignature", ""},
    {"digital signature", "digitalSignature", ""},
    {"content commitment", "nonRepudiation", ""},
    {"key encipherment", "keyEncipherment", ""},
    {"key agreement", "keyAgreement", ""},
    {"data encipherment", "dataEncipherment", ""},
    {"cert sign", "keyCertSign", ""},
    {"crl sign", "cRLSign", ""},
    {"encipher only", "encipherOnly", ""},
    {"decipher only", "decipherOnly", ""},
    {"any", "", "anyExtendedKeyUsage"},
    {"server auth", "", "serverAuth"},
    {"client auth", "", "clientAuth"},
    {"code signing", "", "codeSigning"},
    {"email protection", "", "emailProtection"},
    {"s/mime", "", "emailProtection"},
    {"ipsec end system", "", "ipsecEndSystem"},
    {"ipsec tunnel", "", "ipsecTunnel"},
    {"ipsec user", "", "ipsecUser"},
    {"timestamping", "", "timeStamping"},
    {"ocsp signing", "", "OCSPSigning"},
    {"microsoft sgc", "", "msSGC"},
    {"netscape sgc", "", "nsSGC"},
};

std::string usage_list(const std::vector<std::string>& usages, bool extended) {
  std::vector<std::string> words;
  for (const std::string& usage : usages) {
    for (const Usage& u : kUsages) {
      std::string word = extended ? u.extended : u.basic;
      bool fresh = std::find(words.begin(), words.end(), word) == words.end();
      if (u.name == usage && !word.empty() && fresh) words.push_back(word);
    }
  }
  std::string list;
  for (const std::string& word : words) list += (list.empty() ? "" : ",") + word;
  return list;
}

Result<x509::SigningRequest> parse(std::string_view pem) {
  x509::Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  x509::SigningRequest request(PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr));
  if (!request) {
    ERR_clear_error();
    return make_error(Code::kInvalid, "PEM block type must be CERTIFICATE REQUEST");
  }
  return request;
}

Names names_of(X509_REQ* request) {
  Extensions extensions(X509_REQ_get_extensions(request));
  if (!extensions) return nullptr;
  return Names(static_cast<GENERAL_NAMES*>(
      X509V3_get_d2i(extensions.get(), NID_subject_alt_name, nullptr, nullptr)));
}

// The subject as Go writes it again: the parts a Name has, the last common name alone.
Result<void> copy_subject(X509_NAME* to, const X509_NAME* from) {
  for (int nid : {NID_countryName, NID_organizationName, NID_organizationalUnitName,
                  NID_localityName, NID_stateOrProvinceName, NID_streetAddress, NID_postalCode,
                  NID_commonName, NID_serialNumber}) {
    bool one = nid == NID_commonName || nid == NID_serialNumber;
    std::vector<std::string> values = x509::name_entries(from, nid);
    if (one && values.size() > 1) values.erase(values.begin(), values.end() - 1);
    for (const std::string& value : values) {
      if (!X509_NAME_add_entry_by_NID(to, nid, MBSTRING_UTF8,
                                      reinterpret_cast<const unsigned char*>(value.data()),
                                      static_cast<int>(value.size()), -1, 0)) {
        return x509::ssl_error("write the certificate's subject");
      }
    }
  }
  return {};
}

// An IPv4 address in IPv6's form is the IPv4 address, to those who compare.
std::string address_text(std::string_view bytes) {
  constexpr std::string_view kMapped("\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
  if (bytes.size() == 16 && bytes.starts_with(kMapped)) bytes.remove_prefix(kMapped.size());
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(bytes.size() == 4 ? AF_INET : AF_INET6, bytes.data(), text, sizeof text);
  return text;
}

}  // namespace

Result<SigningRequestInfo> read_signing_request(std::string_view pem) {
  TRY_ASSIGN(x509::SigningRequest request, parse(pem));
  if (X509_REQ_verify(request.get(), X509_REQ_get0_pubkey(request.get())) != 1) {
    ERR_clear_error();
    return make_error(Code::kInvalid, "the certificate request is not signed by its own key");
  }
  SigningRequestInfo info;
  TRY_ASSIGN(info.key_fingerprint, x509::fingerprint_of(X509_REQ_get0_pubkey(request.get())));
  const X509_NAME* subject = X509_REQ_get_subject_name(request.get());
  std::vector<std::string> common = x509::name_entries(subject, NID_commonName);
  if (!common.empty()) info.common_name = common.back();
  info.organizations = x509::name_entries(subject, NID_organizationName);
  Names names = names_of(request.get());
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); i++) {
    int type = 0;
    void* value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names.get(), i), &type);
    if (type != GEN_DNS && type != GEN_IPADD && type != GEN_EMAIL && type != GEN_URI) {
      return make_error(Code::kInvalid,
                        "subjectAltNames may be DNS names, IP addresses, emails and URIs alone");
    }
    std::string bytes = x509::text_of(static_cast<const ASN1_STRING*>(value));
    if (type == GEN_DNS) info.dns_names.push_back(bytes);
    if (type == GEN_EMAIL) info.emails.push_back(bytes);
    if (type == GEN_URI) info.uris.push_back(bytes);
    if (type != GEN_IPADD) continue;
    if (bytes.size() != 4 && bytes.size() != 16) {
      return make_error(Code::kInvalid,
                        "x509: cannot parse IP address of length " + std::to_string(bytes.size()));
    }
    info.ip_addresses.push_back(address_text(bytes));
  }
  return info;
}

Result<std::string> sign_request(const net::KeyPair& ca, std::string_view pem,
                                 const SigningPolicy& policy) {
  TRY_ASSIGN(x509::SigningRequest request, parse(pem));
  TRY_ASSIGN(x509::Certificate issuer, x509::parse_certificate(ca.certificate));
  TRY_ASSIGN(x509::Key issuer_key, x509::parse_key(ca.key));
  TRY_ASSIGN(net::CertificateInfo authority, net::read_certificate(ca.certificate));
  x509::Validity validity{policy.not_before_seconds,
                          std::min(policy.not_after_seconds, authority.not_after_seconds)};
  TRY_ASSIGN(x509::Certificate certificate,
             x509::unsigned_certificate(X509_REQ_get0_pubkey(request.get()), validity));
  X509* x = certificate.get();
  TRY(copy_subject(X509_get_subject_name(x), X509_REQ_get_subject_name(request.get())));
  X509_set_issuer_name(x, X509_get_subject_name(issuer.get()));
  if (std::string usage = usage_list(policy.usages, false); !usage.empty()) {
    TRY(x509::add_extension(x, issuer.get(), NID_key_usage, ("critical," + usage).c_str()));
  }
  if (std::string usage = usage_list(policy.usages, true); !usage.empty()) {
    TRY(x509::add_extension(x, issuer.get(), NID_ext_key_usage, usage.c_str()));
  }
  TRY(x509::add_extension(x, issuer.get(), NID_basic_constraints, "critical,CA:FALSE"));
  TRY(x509::add_extension(x, issuer.get(), NID_authority_key_identifier, "keyid:always"));
  Names names = names_of(request.get());
  if (names && sk_GENERAL_NAME_num(names.get()) > 0 &&
      !X509_add1_ext_i2d(x, NID_subject_alt_name, names.get(), 0, 0)) {
    return x509::ssl_error("add subject alternative names");
  }
  if (!X509_sign(x, issuer_key.get(), EVP_sha256())) return x509::ssl_error("sign certificate");
  return x509::certificate_pem(x);
}

}  // namespace knarr::server
