#include "agent/join/node_identity.h"

#include <algorithm>

#include "base/file.h"
#include "knarr/names.h"
#include "net/pki.h"

namespace knarr::agent {

namespace {

Result<std::string> read_if_there(const std::string& path) {
  if (!base::file_exists(path)) return std::string();
  return base::read_file(path);
}

bool is_good(const std::string& certificate, const NodeIdentity& identity,
             const std::string& node_name, int64_t now_seconds, net::CertificateInfo& info) {
  if (certificate.empty() || identity.ca.empty()) return false;
  auto read = net::read_certificate(certificate);
  if (!read.ok()) return false;
  info = *std::move(read);
  auto own_key = net::key_fingerprint(identity.key);
  if (!own_key.ok() || info.key_fingerprint != *own_key) return false;
  return info.common_name == kNodeUserPrefix + node_name && info.not_after_seconds > now_seconds &&
         net::signed_by(certificate, identity.ca);
}

}  // namespace

Result<NodeIdentity> load_identity(const std::string& dir) {
  TRY(base::make_dirs(dir, 0700));
  NodeIdentity identity;
  TRY_ASSIGN(identity.ca, read_if_there(dir + "/server-ca.crt"));
  TRY_ASSIGN(identity.key, read_if_there(dir + "/node.key"));
  TRY_ASSIGN(identity.client, read_if_there(dir + "/client.crt"));
  TRY_ASSIGN(identity.serving, read_if_there(dir + "/serving.crt"));
  if (identity.key.empty()) {
    TRY_ASSIGN(identity.key, net::generate_ec_key());
    identity.client.clear();
    identity.serving.clear();
    TRY(base::write_file(dir + "/node.key", identity.key, 0600));
  }
  return identity;
}

Result<void> save_identity(const std::string& dir, const NodeIdentity& identity) {
  TRY(base::write_file(dir + "/server-ca.crt", identity.ca));
  if (!identity.client.empty()) TRY(base::write_file(dir + "/client.crt", identity.client));
  if (!identity.serving.empty()) TRY(base::write_file(dir + "/serving.crt", identity.serving));
  return {};
}

bool client_is_good(const NodeIdentity& identity, const std::string& node_name,
                    int64_t now_seconds) {
  net::CertificateInfo info;
  return is_good(identity.client, identity, node_name, now_seconds, info);
}

bool serving_is_good(const NodeIdentity& identity, const std::string& node_name,
                     const std::vector<std::string>& addresses, int64_t now_seconds) {
  net::CertificateInfo info;
  if (!is_good(identity.serving, identity, node_name, now_seconds, info)) return false;
  return std::all_of(addresses.begin(), addresses.end(), [&](const std::string& address) {
    return std::count(info.ip_addresses.begin(), info.ip_addresses.end(), address) > 0;
  });
}

int64_t renew_at(const std::string& certificate_pem) {
  auto info = net::read_certificate(certificate_pem);
  if (!info.ok()) return 0;
  return info->not_before_seconds + (info->not_after_seconds - info->not_before_seconds) / 5 * 4;
}

}  // namespace knarr::agent
