// One run of kubectl: the server, who asks, the namespace, what the server offers. Opened on first
// use, so that `--dry-run=client -o yaml` and `config view` need no server.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cli/kubectl/api_client.h"
#include "cli/kubectl/discovery.h"
#include "cli/kubectl/flags.h"
#include "cli/kubectl/kubeconfig.h"

namespace knarr::kubectl {

class Session {
 public:
  static Result<Session> open(const Flags& flags, std::string version);

  Result<ApiClient*> api();
  Result<const Catalogue*> catalogue();
  // What `word` means, and what has this apiVersion and kind; errors in kubectl's words.
  Result<const ApiResource*> resource(const std::string& word);
  Result<const ApiResource*> kind(const std::string& api_version, const std::string& kind);

  const ClientConfig& config() const { return config_; }
  const std::string& ns() const { return config_.ns; }
  bool ns_given() const { return ns_given_; }
  const std::string& version() const { return version_; }  // of this client: "v1.36.2"

 private:
  ClientConfig config_;
  bool ns_given_ = false;
  std::string version_;
  std::unique_ptr<ApiClient> api_;
  std::optional<Catalogue> catalogue_;
};

// The --kubeconfig, --context, --server ... of a command line.
ConfigOverrides config_overrides(const Flags& flags);

// Now, in microseconds since the epoch.
int64_t now_us();

// Prints the error as kubectl does; 1.
int report(const Error& error);
// Writes all of it to stdout at once.
void print(std::string_view text);

// A usage error: the message, then "See 'kubectl <verb> -h' for help and examples".
Error usage_error(const std::string& verb, std::string message);

}  // namespace knarr::kubectl
