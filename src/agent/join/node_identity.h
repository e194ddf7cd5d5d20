// Who a joined node is, in <data-dir>/agent/tls: the authority it believes, its own key, the
// certificates it was given. The key stays for the life of the node: it is what tells the node
// from another of the same name. Blocking, small files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "knarr/result.h"

namespace knarr::agent {

struct NodeIdentity {
  std::string ca;       // PEM; empty: not known yet
  std::string key;      // PEM
  std::string client;   // PEM, towards the API server; empty: none yet
  std::string serving;  // PEM, of the node's own port; empty: none yet
};

// What is there; the key is made when there is none.
Result<NodeIdentity> load_identity(const std::string& dir);
Result<void> save_identity(const std::string& dir, const NodeIdentity& identity);

// The certificate is there, of this name, key and authority, and has not run out.
bool client_is_good(const NodeIdentity& identity, const std::string& node_name,
                    int64_t now_seconds);
// Also: it is for these addresses.
bool serving_is_good(const NodeIdentity& identity, const std::string& node_name,
                     const std::vector<std::string>& addresses, int64_t now_seconds);

// When a certificate is to be asked for anew, in seconds: with four fifths of its life over. 0 for
// what is no certificate.
int64_t renew_at(const std::string& certificate_pem);

}  // namespace knarr::agent
