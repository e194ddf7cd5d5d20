#include "server/auth/credentials.h"

#include <openssl/evp.h>

#include <algorithm>
#include <future>
#include <limits>

#include "base/base64.h"
#include "base/file.h"
#include "base/format.h"
#include "knarr/names.h"

namespace knarr::server {

namespace {

constexpr int64_t kRenewBeforeSeconds = 90 * 86400;
constexpr int kRsaBits = 2048;

Result<net::KeyPair> read_pair(const std::string& stem) {
  net::KeyPair pair;
  TRY_ASSIGN(pair.certificate, base::read_file(stem + ".crt"));
  TRY_ASSIGN(pair.key, base::read_file(stem + ".key"));
  return pair;
}

// The key first: a certificate without its key would never be looked at again.
Result<void> write_pair(const std::string& stem, const net::KeyPair& pair) {
  TRY(base::write_file(stem + ".key", pair.key, 0600));
  return base::write_file(stem + ".crt", pair.certificate, 0644);
}

Result<net::KeyPair> load_ca(const std::string& stem, int64_t now_seconds) {
  if (base::file_exists(stem + ".crt")) return read_pair(stem);
  TRY_ASSIGN(net::KeyPair ca, net::make_ca(fmt::format("knarr-ca@{}", now_seconds), now_seconds));
  TRY(write_pair(stem, ca));
  return ca;
}

bool same_names(std::vector<std::string> a, std::vector<std::string> b) {
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  return a == b;
}

bool still_good(const net::KeyPair& leaf, const net::KeyPair& ca,
                const net::CertificateRequest& wanted, int64_t now_seconds) {
  auto info = net::read_certificate(leaf.certificate);
  return info.ok() && info->common_name == wanted.common_name &&
         same_names(info->organizations, wanted.organizations) &&
         same_names(info->dns_names, wanted.dns_names) &&
         same_names(info->ip_addresses, wanted.ip_addresses) &&
         info->not_after_seconds > now_seconds + kRenewBeforeSeconds &&
         net::signed_by(leaf.certificate, ca.certificate);
}

Result<net::KeyPair> load_leaf(const std::string& stem, const net::KeyPair& ca,
                               const net::CertificateRequest& request, int64_t now_seconds) {
  auto found = read_pair(stem);
  if (found.ok() && still_good(*found, ca, request, now_seconds)) return found;
  TRY_ASSIGN(net::KeyPair leaf, net::make_leaf(ca, request, now_seconds));
  TRY(write_pair(stem, leaf));
  return leaf;
}

// What is on disk already is there at once.
std::shared_future<Result<std::string>> load_service_account_key(const std::string& path) {
  if (base::file_exists(path)) {
    std::promise<Result<std::string>> found;
    found.set_value(base::read_file(path));
    return found.get_future().share();
  }
  auto make = [path]() -> Result<std::string> {
    TRY_ASSIGN(std::string key, net::generate_rsa_key(kRsaBits));
    TRY(base::write_file(path, key, 0600));
    return key;
  };
  return std::async(std::launch::async, make).share();
}

void add_new(std::vector<std::string>& list, const std::string& value) {
  if (std::find(list.begin(), list.end(), value) == list.end()) list.push_back(value);
}

net::CertificateRequest serving_request(const CredentialNames& names) {
  net::CertificateRequest request;
  request.common_name = "knarr";
  request.organizations = {"knarr"};
  request.dns_names = {"kubernetes", "kubernetes.default", "kubernetes.default.svc",
                       "kubernetes.default.svc.cluster.local", "localhost"};
  request.ip_addresses = {"127.0.0.1", "::1"};
  for (const std::string& name : names.dns_names) add_new(request.dns_names, name);
  for (const std::string& ip : names.ip_addresses) add_new(request.ip_addresses, ip);
  request.server = true;
  return request;
}

net::CertificateRequest client_request(const std::string& name, const std::string& organization) {
  net::CertificateRequest request;
  request.common_name = name;
  request.organizations = {organization};
  request.client = true;
  return request;
}

}  // namespace

Result<Credentials> load_credentials(const std::string& tls_dir, const CredentialNames& names,
                                     int64_t now_seconds) {
  TRY(base::make_dirs(tls_dir, 0700));
  Credentials c;
  c.service_account_key = load_service_account_key(tls_dir + "/service-account.key");
  TRY_ASSIGN(c.ca, load_ca(tls_dir + "/ca", now_seconds));
  TRY_ASSIGN(c.serving, load_leaf(tls_dir + "/serving", c.ca, serving_request(names), now_seconds));
  TRY_ASSIGN(c.admin, load_leaf(tls_dir + "/admin", c.ca,
                                client_request("system:admin", "system:masters"), now_seconds));
  TRY_ASSIGN(
      c.kubelet_client,
      load_leaf(tls_dir + "/kubelet-client", c.ca,
                client_request("kube-apiserver-kubelet-client", kApiServerGroup), now_seconds));
  if (!names.node_name.empty()) {
    net::CertificateRequest request;
    request.common_name = kNodeUserPrefix + names.node_name;
    request.organizations = {kNodeUsersGroup};
    request.dns_names = {names.node_name, "localhost"};
    request.ip_addresses = {"127.0.0.1"};
    for (const std::string& ip : names.ip_addresses) add_new(request.ip_addresses, ip);
    request.server = request.client = true;
    TRY_ASSIGN(c.kubelet_serving, load_leaf(tls_dir + "/kubelet", c.ca, request, now_seconds));
  }
  return c;
}

std::vector<std::string> names_of(const net::KeyPair& leaf) {
  auto info = net::read_certificate(leaf.certificate);
  if (!info.ok()) return {};
  std::vector<std::string> names = info->dns_names;
  names.insert(names.end(), info->ip_addresses.begin(), info->ip_addresses.end());
  return names;
}

int64_t renewal_due(const Credentials& c) {
  int64_t due = std::numeric_limits<int64_t>::max();
  for (const net::KeyPair* leaf : {&c.serving, &c.admin, &c.kubelet_client, &c.kubelet_serving}) {
    auto info = net::read_certificate(leaf->certificate);
    if (info.ok()) due = std::min(due, info->not_after_seconds - kRenewBeforeSeconds);
  }
  return due;
}

std::string kubeconfig(const std::string& name, const std::string& server_url,
                       const std::string& ca_certificate, const net::KeyPair& client) {
  return fmt::format(
      "apiVersion: v1\n"
      "kind: Config\n"
      "clusters:\n"
      "- name: {0}\n"
      "  cluster:\n"
      "    server: {1}\n"
      "    certificate-authority-data: {2}\n"
      "contexts:\n"
      "- name: {0}\n"
      "  context:\n"
      "    cluster: {0}\n"
      "    user: {0}\n"
      "current-context: {0}\n"
      "users:\n"
      "- name: {0}\n"
      "  user:\n"
      "    client-certificate-data: {3}\n"
      "    client-key-data: {4}\n",
      name, server_url, base::base64_encode(ca_certificate),
      base::base64_encode(client.certificate), base::base64_encode(client.key));
}

}  // namespace knarr::server
