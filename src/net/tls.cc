// Contexts: certificates, keys and trust from PEM, and the settings all connections share. Buffers
// are released while a connection is idle. No tickets: a handshake costs little here, and a resumed
// session would skip the check of the client's certificate.
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "net/tls_context.h"

namespace knarr::net {

namespace {

// The fastest of the three strong ones first: a long list is mostly encryption.
constexpr char kCipherSuites[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

struct BioFree {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
struct X509Free {
  void operator()(X509* cert) const { X509_free(cert); }
};
struct KeyFree {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};

std::unique_ptr<BIO, BioFree> pem_bio(const std::string& pem) {
  return std::unique_ptr<BIO, BioFree>(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

Error tls_error(const char* what) {
  return make_error(Code::kInvalid, std::string(what) + ": " + openssl_error());
}

Result<void> use_identity(SSL_CTX* ctx, const TlsConfig& config) {
  auto bio = pem_bio(config.cert_pem);
  std::unique_ptr<X509, X509Free> leaf(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (!leaf || SSL_CTX_use_certificate(ctx, leaf.get()) != 1) return tls_error("load certificate");
  while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    if (SSL_CTX_add0_chain_cert(ctx, next) != 1) {
      X509_free(next);
      return tls_error("load certificate chain");
    }
  }
  ERR_clear_error();  // the end of the PEM is an error to OpenSSL
  auto key_bio = pem_bio(config.key_pem);
  std::unique_ptr<EVP_PKEY, KeyFree> key(
      PEM_read_bio_PrivateKey(key_bio.get(), nullptr, nullptr, nullptr));
  if (!key || SSL_CTX_use_PrivateKey(ctx, key.get()) != 1) return tls_error("load private key");
  if (SSL_CTX_check_private_key(ctx) != 1) return tls_error("match private key and certificate");
  return {};
}

Result<void> use_authorities(SSL_CTX* ctx, const TlsConfig& config, bool server) {
  auto bio = pem_bio(config.ca_pem);
  X509_STORE* store = SSL_CTX_get_cert_store(ctx);
  int count = 0;
  while (X509* raw = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    std::unique_ptr<X509, X509Free> cert(raw);
    if (X509_STORE_add_cert(store, raw) != 1) return tls_error("load CA certificate");
    if (server && SSL_CTX_add_client_CA(ctx, raw) != 1) return tls_error("load CA certificate");
    count++;
  }
  if (count == 0) return tls_error("load CA certificate");
  ERR_clear_error();
  return {};
}

int choose_alpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                unsigned int in_size, void* http2) {
  static const unsigned char kBoth[] = "\x02h2\x08http/1.1";
  static const unsigned char kOne[] = "\x08http/1.1";
  const unsigned char* offer = http2 != nullptr ? kBoth : kOne;
  unsigned int size = http2 != nullptr ? sizeof(kBoth) - 1 : sizeof(kOne) - 1;
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, offer, size, in, in_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

Result<std::shared_ptr<TlsContext>> make(bool server, const TlsConfig& config) {
  auto context = std::make_shared<TlsContext>(server, config);
  TRY(context->init(config));
  return context;
}

}  // namespace

std::string openssl_error() {
  unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "unknown error";
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "error " + std::to_string(code);
}

Result<void> TlsContext::init(const TlsConfig& config) {
  ERR_clear_error();
  ctx_ = SSL_CTX_new(server_ ? TLS_server_method() : TLS_client_method());
  if (ctx_ == nullptr) return tls_error("make TLS context");
  SSL_CTX_set_min_proto_version(ctx_, TLS1_2_VERSION);
  SSL_CTX_set_mode(ctx_, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                             SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_options(ctx_, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_num_tickets(ctx_, 0);
  SSL_CTX_set_session_cache_mode(ctx_, SSL_SESS_CACHE_OFF);
  if (SSL_CTX_set_ciphersuites(ctx_, kCipherSuites) != 1) return tls_error("set cipher suites");
  if (!config.cert_pem.empty() || server_) TRY(use_identity(ctx_, config));
  if (!config.ca_pem.empty()) {
    TRY(use_authorities(ctx_, config, server_));
  } else if (!server_ && !config.insecure) {
    SSL_CTX_set_default_verify_paths(ctx_);
  }
  if (server_) {
    SSL_CTX_set_alpn_select_cb(ctx_, choose_alpn, config.http2 ? this : nullptr);
  } else {
    static const unsigned char kBoth[] = "\x02h2\x08http/1.1";
    const unsigned char* offer = config.http2 ? kBoth : kBoth + 3;
    SSL_CTX_set_alpn_protos(ctx_, offer, config.http2 ? 12 : 9);
  }
  if (server_ && !config.ca_pem.empty()) {
    // What is wrong with a client's certificate is the handler's to judge: see TlsEngine.
    SSL_CTX_set_verify(ctx_, SSL_VERIFY_PEER, nullptr);
  } else {
    SSL_CTX_set_verify(ctx_, server_ || config.insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
                       nullptr);
  }
  return {};
}

Result<std::shared_ptr<TlsContext>> make_server_tls(const TlsConfig& config) {
  return make(true, config);
}

Result<std::shared_ptr<TlsContext>> make_client_tls(const TlsConfig& config) {
  return make(false, config);
}

}  // namespace knarr::net
