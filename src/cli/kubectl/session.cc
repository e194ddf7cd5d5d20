#include "cli/kubectl/session.h"

#include <time.h>

#include <cstdio>

#include "base/format.h"

namespace knarr::kubectl {

ConfigOverrides config_overrides(const Flags& flags) {
  ConfigOverrides overrides;
  overrides.kubeconfig = flags.text("kubeconfig");
  overrides.context = flags.text("context");
  overrides.cluster = flags.text("cluster");
  overrides.user = flags.text("user");
  overrides.server = flags.text("server");
  overrides.token = flags.text("token");
  overrides.ca_file = flags.text("certificate-authority");
  overrides.cert_file = flags.text("client-certificate");
  overrides.key_file = flags.text("client-key");
  overrides.ns = flags.text("namespace");
  overrides.insecure = flags.yes("insecure-skip-tls-verify");
  return overrides;
}

Result<Session> Session::open(const Flags& flags, std::string version) {
  ConfigOverrides overrides = config_overrides(flags);
  Session session;
  TRY_ASSIGN(json::Value kubeconfig, read_kubeconfigs(overrides));
  TRY_ASSIGN(session.config_, client_config(kubeconfig, overrides));
  session.ns_given_ = !overrides.ns.empty();
  session.version_ = std::move(version);
  return session;
}

Result<ApiClient*> Session::api() {
  if (api_ == nullptr) {
    TRY_ASSIGN(auto http, HttpSession::open(config_));
    api_ = std::make_unique<ApiClient>(std::move(http));
  }
  return api_.get();
}

Result<const Catalogue*> Session::catalogue() {
  if (!catalogue_) {
    TRY_ASSIGN(ApiClient * client, api());
    TRY_ASSIGN(catalogue_, discover(*client));
  }
  return &*catalogue_;
}

Result<const ApiResource*> Session::resource(const std::string& word) {
  TRY_ASSIGN(const Catalogue* known, catalogue());
  if (const ApiResource* found = known->find(word)) return found;
  return make_error(Code::kBadRequest,
                    fmt::format("the server doesn't have a resource type \"{}\"", word));
}

Result<const ApiResource*> Session::kind(const std::string& api_version, const std::string& kind) {
  TRY_ASSIGN(const Catalogue* known, catalogue());
  if (const ApiResource* found = known->find_kind(api_version, kind)) return found;
  return make_error(Code::kBadRequest,
                    fmt::format("no matches for kind \"{}\" in version \"{}\"", kind, api_version));
}

int64_t now_us() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000000 + now.tv_nsec / 1000;
}

int report(const Error& error) {
  std::fflush(stdout);
  std::fputs(error_text(error).c_str(), stderr);
  return 1;
}

void print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

Error usage_error(const std::string& verb, std::string message) {
  return make_error(Code::kBadRequest,
                    fmt::format("{}\nSee 'kubectl {} -h' for help and examples", message, verb));
}

}  // namespace knarr::kubectl
