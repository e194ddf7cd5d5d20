// Which server to ask, as whom: read from kubeconfig files (clientcmd/v1), the first file of a list
// that says a thing winning, then the command line's overrides.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "knarr/result.h"

namespace knarr::kubectl {

struct ClientConfig {
  std::string server;  // URL, without a slash at the end
  std::string ca_pem;
  std::string cert_pem;
  std::string key_pem;
  std::string token;
  std::string username;
  std::string password;
  std::string tls_server_name;
  bool insecure = false;
  std::string ns;  // of the context; "default" when it has none
};

struct ConfigOverrides {
  std::string kubeconfig;  // --kubeconfig: this file alone
  std::string context;
  std::string cluster;
  std::string user;
  std::string server;
  std::string token;
  std::string ca_file;
  std::string cert_file;
  std::string key_file;
  std::string ns;
  bool insecure = false;
};

// A kubeconfig file as a tree, its file names made absolute by the folder it lies in. Pure.
json::Value with_absolute_paths(json::Value config, const std::string& folder);
// The first config that has a context, cluster, user or current-context of a name wins. Pure.
json::Value merge_kubeconfigs(const std::vector<json::Value>& configs);

// The files that count, in order, and what they say together.
std::vector<std::string> kubeconfig_files(const ConfigOverrides& overrides);
Result<json::Value> read_kubeconfigs(const ConfigOverrides& overrides);
Result<ClientConfig> client_config(const json::Value& kubeconfig, const ConfigOverrides& overrides);

}  // namespace knarr::kubectl
