// Who we are and whom we believe, as PEM text. Contexts made from it are shared by connections.
#pragma once

#include <memory>
#include <string>

#include "knarr/result.h"

namespace knarr::net {

struct TlsConfig {
  std::string cert_pem;  // leaf first, then intermediates. A client's may be empty
  std::string key_pem;
  // Server: certificates of clients are asked for when not empty, and verified against it; a bad or
  // missing one does not end the handshake (see PeerCertificate).
  // Client: whom to believe; empty: the system's store.
  std::string ca_pem;
  // Client only.
  std::string server_name;  // to verify and send as SNI; empty: the host that was asked for
  bool insecure = false;    // believe everyone
  bool http2 = true;        // offer h2 by ALPN (both sides)
};

class TlsContext;  // wraps SSL_CTX

Result<std::shared_ptr<TlsContext>> make_server_tls(const TlsConfig& config);
Result<std::shared_ptr<TlsContext>> make_client_tls(const TlsConfig& config);

}  // namespace knarr::net
