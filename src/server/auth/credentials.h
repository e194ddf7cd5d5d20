// The identity of a cluster on disk, in <data-dir>/server/tls: its authority, the certificates of
// the server and of those who talk to it from this machine, the key that signs service account
// tokens. Made at first start, read after that; leaves are made anew when they run out or their
// names change.
#pragma once

#include <future>
#include <string>
#include <vector>

#include "knarr/result.h"
#include "net/pki.h"

namespace knarr::server {

struct CredentialNames {
  std::vector<std::string> dns_names;  // of the server, beside those every cluster has
  std::vector<std::string> ip_addresses;
  std::string node_name;  // empty: no node here
};

struct Credentials {
  net::KeyPair ca;
  net::KeyPair serving;         // of the API server
  net::KeyPair admin;           // O=system:masters
  net::KeyPair kubelet_client;  // the API server's own, towards kubelets
  net::KeyPair kubelet_serving;
  // RSA, PEM. Takes up to 0.5 s to make, so at first start it comes later than the rest.
  std::shared_future<Result<std::string>> service_account_key;
};

// Blocking.
Result<Credentials> load_credentials(const std::string& tls_dir, const CredentialNames& names,
                                     int64_t now_seconds);

// Every name and address that a certificate is good for.
std::vector<std::string> names_of(const net::KeyPair& leaf);

// When load_credentials would make a leaf anew for its age, in seconds since the epoch.
int64_t renewal_due(const Credentials& credentials);

// Text of a kubeconfig with one cluster, user and context, all named `name`.
std::string kubeconfig(const std::string& name, const std::string& server_url,
                       const std::string& ca_certificate, const net::KeyPair& client);

}  // namespace knarr::server
