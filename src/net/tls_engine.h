// TLS without I/O: ciphertext in, plaintext out, and the reverse. One engine a connection.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "knarr/result.h"
#include "net/bytes.h"
#include "net/http.h"
#include "net/tls.h"

namespace knarr::net {

class TlsEngine {
 public:
  // host: what a client asked for; ignored by a server.
  TlsEngine(std::shared_ptr<TlsContext> context, const std::string& host);
  ~TlsEngine();
  TlsEngine(const TlsEngine&) = delete;
  TlsEngine& operator=(const TlsEngine&) = delete;

  // Ciphertext from the peer. The bytes are borrowed until release_input().
  void feed(std::string_view bytes);
  // Copies what was not used yet.
  void release_input();

  // true when done. output() may hold bytes for the peer, after an error too.
  Result<bool> handshake();
  // Bytes written to out; 0: the input is used up, or the peer said it sends no more (ended()).
  Result<size_t> read(char* out, size_t size);
  bool ended() const;

  // Encrypts to output(). Small slices share a record.
  Result<void> encrypt(const Buffers& plain);
  void close_notify();
  std::string& output();

  bool http2() const;                                               // chosen by ALPN
  std::shared_ptr<const PeerCertificate> peer_certificate() const;  // null when there is none

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace knarr::net
