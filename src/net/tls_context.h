// What tls.cc and tls_engine.cc share: the owner of an SSL_CTX.
#pragma once

#include <openssl/ssl.h>

#include <string>

#include "net/tls.h"

namespace knarr::net {

class TlsContext {
 public:
  TlsContext(bool server, const TlsConfig& config)
      : server_(server), insecure_(config.insecure), server_name_(config.server_name) {}
  ~TlsContext() { SSL_CTX_free(ctx_); }
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  SSL_CTX* get() const { return ctx_; }
  bool server() const { return server_; }
  bool insecure() const { return insecure_; }
  const std::string& server_name() const { return server_name_; }

  Result<void> init(const TlsConfig& config);

 private:
  SSL_CTX* ctx_ = nullptr;
  bool server_;
  bool insecure_;
  std::string server_name_;
};

// The oldest error in OpenSSL's queue as words; empties the queue.
std::string openssl_error();

}  // namespace knarr::net
