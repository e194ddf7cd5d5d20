// A BIO of our own stands where OpenSSL expects the network: it reads from borrowed input and
// appends to a string, so that an idle connection holds neither.
#include "net/tls_engine.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cstring>

#include "knarr/check.h"
#include "net/tls_context.h"
#include "net/x509.h"

namespace knarr::net {

struct TlsEngine::Impl {
  std::shared_ptr<TlsContext> context;
  SSL* ssl = nullptr;
  std::string_view input;
  std::string kept;  // what `input` points into after release_input
  std::string output;
  int verify_error = X509_V_OK;  // the first one; of a server's client
  bool broken = false;           // after a fatal error SSL_shutdown must not be called
};

namespace {

constexpr size_t kRecordBytes = 16384;

int bio_write(BIO* bio, const char* bytes, int size) {
  static_cast<std::string*>(BIO_get_data(bio))->append(bytes, static_cast<size_t>(size));
  return size;
}

int bio_read(BIO* bio, char* out, int size) {
  auto* input = static_cast<std::string_view*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (input->empty()) {
    BIO_set_retry_read(bio);
    return -1;
  }
  size_t n = std::min(input->size(), static_cast<size_t>(size));
  memcpy(out, input->data(), n);
  input->remove_prefix(n);
  return static_cast<int>(n);
}

long bio_ctrl(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

int bio_create(BIO* bio) {
  BIO_set_init(bio, 1);
  return 1;
}

BIO_METHOD* make_method() {
  BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "borrowed bytes");
  CHECK(method != nullptr);
  BIO_meth_set_write(method, bio_write);
  BIO_meth_set_read(method, bio_read);
  BIO_meth_set_ctrl(method, bio_ctrl);
  BIO_meth_set_create(method, bio_create);
  return method;
}

BIO* make_bio(void* data) {
  static BIO_METHOD* method = make_method();
  BIO* bio = BIO_new(method);
  CHECK(bio != nullptr);
  BIO_set_data(bio, data);
  return bio;
}

bool is_address(const std::string& host) {
  unsigned char bytes[16];
  return inet_pton(AF_INET, host.c_str(), bytes) == 1 ||
         inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

std::string name_entry(X509_NAME* name, int nid, int& position) {
  position = X509_NAME_get_index_by_NID(name, nid, position);
  if (position < 0) return {};
  unsigned char* utf8 = nullptr;
  int size =
      ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, position)));
  if (size < 0) return {};
  std::string text(reinterpret_cast<char*>(utf8), static_cast<size_t>(size));
  OPENSSL_free(utf8);
  return text;
}

std::string der(X509* cert) {
  unsigned char* bytes = nullptr;
  int size = i2d_X509(cert, &bytes);
  if (size < 0) return {};
  std::string text(reinterpret_cast<char*>(bytes), static_cast<size_t>(size));
  OPENSSL_free(bytes);
  return text;
}

}  // namespace

TlsEngine::TlsEngine(std::shared_ptr<TlsContext> context, const std::string& host)
    : impl_(std::make_unique<Impl>()) {
  impl_->context = std::move(context);
  const TlsContext& shared = *impl_->context;
  impl_->ssl = SSL_new(shared.get());
  CHECK(impl_->ssl != nullptr);
  SSL* ssl = impl_->ssl;
  SSL_set_bio(ssl, make_bio(&impl_->input), make_bio(&impl_->output));
  SSL_set_app_data(ssl, impl_.get());
  if (shared.server()) {
    SSL_set_accept_state(ssl);
    // An unacceptable client certificate does not end the handshake; it is remembered.
    SSL_set_verify(ssl, SSL_get_verify_mode(ssl), [](int ok, X509_STORE_CTX* store) {
      auto* s = static_cast<SSL*>(
          X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
      auto* impl = static_cast<Impl*>(SSL_get_app_data(s));
      if (ok == 0 && impl->verify_error == X509_V_OK) {
        impl->verify_error = X509_STORE_CTX_get_error(store);
      }
      return 1;
    });
    return;
  }
  SSL_set_connect_state(ssl);
  const std::string& name = shared.server_name().empty() ? host : shared.server_name();
  if (is_address(name)) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name.c_str());
  } else {
    SSL_set_tlsext_host_name(ssl, name.c_str());
    SSL_set1_host(ssl, name.c_str());
  }
}

TlsEngine::~TlsEngine() { SSL_free(impl_->ssl); }

void TlsEngine::feed(std::string_view bytes) {
  if (impl_->input.empty()) {
    impl_->input = bytes;
    return;
  }
  std::string joined(impl_->input);
  joined += bytes;
  impl_->kept = std::move(joined);
  impl_->input = impl_->kept;
}

void TlsEngine::release_input() {
  if (impl_->input.empty()) {
    if (impl_->kept.capacity() > 0) impl_->kept = std::string();
    return;
  }
  std::string left(impl_->input);
  impl_->kept = std::move(left);
  impl_->input = impl_->kept;
}

Result<bool> TlsEngine::handshake() {
  ERR_clear_error();
  int rc = SSL_do_handshake(impl_->ssl);
  if (rc == 1) return true;
  int error = SSL_get_error(impl_->ssl, rc);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return false;
  impl_->broken = true;
  long verify = SSL_get_verify_result(impl_->ssl);
  if (!impl_->context->server() && verify != X509_V_OK && !impl_->context->insecure()) {
    ERR_clear_error();
    return make_error(
        Code::kServiceUnavailable,
        std::string("tls: failed to verify certificate: ") + X509_verify_cert_error_string(verify));
  }
  return make_error(Code::kServiceUnavailable, "tls handshake: " + openssl_error());
}

Result<size_t> TlsEngine::read(char* out, size_t size) {
  ERR_clear_error();
  int rc = SSL_read(impl_->ssl, out, static_cast<int>(size));
  if (rc > 0) return static_cast<size_t>(rc);
  int error = SSL_get_error(impl_->ssl, rc);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_ZERO_RETURN ||
      error == SSL_ERROR_WANT_WRITE) {
    return size_t{0};
  }
  impl_->broken = true;
  return make_error(Code::kServiceUnavailable, "tls read: " + openssl_error());
}

bool TlsEngine::ended() const {
  return (SSL_get_shutdown(impl_->ssl) & SSL_RECEIVED_SHUTDOWN) != 0;
}

Result<void> TlsEngine::encrypt(const Buffers& plain) {
  ERR_clear_error();
  auto put = [this](const char* bytes, size_t size) -> Result<void> {
    while (size > 0) {
      int rc = SSL_write(impl_->ssl, bytes, static_cast<int>(std::min(size, kRecordBytes)));
      if (rc <= 0) {
        impl_->broken = true;
        return make_error(Code::kServiceUnavailable, "tls write: " + openssl_error());
      }
      bytes += rc;
      size -= static_cast<size_t>(rc);
    }
    return {};
  };
  thread_local char joined[kRecordBytes];
  size_t used = 0;
  for (const Slice& slice : plain) {
    std::string_view rest = slice.view();
    if (used == 0 && rest.size() >= kRecordBytes) {
      size_t whole = rest.size() / kRecordBytes * kRecordBytes;
      TRY(put(rest.data(), whole));
      rest.remove_prefix(whole);
    }
    while (!rest.empty()) {
      size_t n = std::min(kRecordBytes - used, rest.size());
      memcpy(joined + used, rest.data(), n);
      used += n;
      rest.remove_prefix(n);
      if (used == kRecordBytes) {
        TRY(put(joined, used));
        used = 0;
      }
    }
  }
  return put(joined, used);
}

void TlsEngine::close_notify() {
  if (impl_->broken || !SSL_is_init_finished(impl_->ssl)) return;
  ERR_clear_error();
  SSL_shutdown(impl_->ssl);
}

std::string& TlsEngine::output() { return impl_->output; }

bool TlsEngine::http2() const {
  const unsigned char* name = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(impl_->ssl, &name, &size);
  return size == 2 && memcmp(name, "h2", 2) == 0;
}

std::shared_ptr<const PeerCertificate> TlsEngine::peer_certificate() const {
  X509* leaf = SSL_get0_peer_certificate(impl_->ssl);
  if (leaf == nullptr) return nullptr;
  auto out = std::make_shared<PeerCertificate>();
  out->chain_der.push_back(der(leaf));
  STACK_OF(X509)* chain = SSL_get_peer_cert_chain(impl_->ssl);
  // A server's view of the chain has no leaf, a client's begins with it.
  for (int i = impl_->context->server() ? 0 : 1; i < sk_X509_num(chain); i++) {
    out->chain_der.push_back(der(sk_X509_value(chain, i)));
  }
  X509_NAME* subject = X509_get_subject_name(leaf);
  for (int at = -1;;) {
    std::string organization = name_entry(subject, NID_organizationName, at);
    if (at < 0) break;
    out->organizations.push_back(std::move(organization));
  }
  for (int at = -1;;) {
    std::string name = name_entry(subject, NID_commonName, at);
    if (at < 0) break;
    out->common_name = std::move(name);
  }
  if (auto key = x509::fingerprint_of(X509_get0_pubkey(leaf)); key.ok()) {
    out->key_fingerprint = *std::move(key);
  }
  tm end{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(leaf), &end) == 1) out->not_after = timegm(&end);
  long result = impl_->context->server() ? impl_->verify_error : SSL_get_verify_result(impl_->ssl);
  out->verified = result == X509_V_OK;
  if (!out->verified) out->verify_error = X509_verify_cert_error_string(result);
  return out;
}

}  // namespace knarr::net
