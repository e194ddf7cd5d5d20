#include "cli/kubectl/kubeconfig.h"

#include <cstdlib>

#include "api/codec/yaml.h"
#include "base/base64.h"
#include "base/file.h"
#include "base/format.h"
#include "cli/kubectl/flags.h"

namespace knarr::kubectl {

namespace {

// Where `knarr server` writes its own when not told otherwise.
constexpr char kServersOwn[] = "/etc/knarr/knarr.yaml";

// The member `what` of the element named `name` in config[list].
const json::Value& named(const json::Value& config, const char* list, const std::string& name,
                         const char* what) {
  for (const json::Value& element : config[list].elements()) {
    if (element["name"].as_string() == name) return element[what];
  }
  static const json::Value none;
  return none;
}

// "<key>-data" as base64, else the file that <key> names; what the command line says first.
Result<std::string> pem(const json::Value& from, const std::string& key,
                        const std::string& override_file) {
  if (override_file.empty()) {
    std::string data = from[key + "-data"].text();
    if (!data.empty()) {
      auto decoded = base::base64_decode(data);
      if (!decoded.ok())
        return make_error(Code::kInvalid, "illegal base64 data in " + key + "-data");
      return *decoded;
    }
  }
  std::string file = override_file.empty() ? from[key].text() : override_file;
  if (file.empty()) return std::string();
  auto content = base::read_file(file);
  if (!content.ok()) {
    return make_error(Code::kInvalid,
                      fmt::format("unable to read {} {}: {}", key, file, content.error().message));
  }
  return content;
}

}  // namespace

json::Value with_absolute_paths(json::Value config, const std::string& folder) {
  auto fix = [&](json::Value& of, const char* key) {
    std::string path = of[key].text();
    if (!path.empty() && path[0] != '/') of.set(key, folder + "/" + path);
  };
  if (json::Value* clusters = config.find("clusters")) {
    for (json::Value& element : clusters->elements()) {
      fix(element.member("cluster"), "certificate-authority");
    }
  }
  if (json::Value* users = config.find("users")) {
    for (json::Value& element : users->elements()) {
      json::Value& user = element.member("user");
      for (const char* key : {"client-certificate", "client-key", "tokenFile"}) fix(user, key);
    }
  }
  return config;
}

json::Value merge_kubeconfigs(const std::vector<json::Value>& configs) {
  json::Value merged = json::Value::object({{"apiVersion", "v1"}, {"kind", "Config"}});
  std::string current;
  for (const json::Value& config : configs) {
    if (current.empty()) current = config["current-context"].text();
    for (const char* list : {"clusters", "contexts", "users"}) {
      json::Value& into = merged.member(list);
      if (!into.is_array()) into = json::Value::array();
      for (const json::Value& element : config[list].elements()) {
        bool known = false;
        for (const json::Value& other : into.elements()) {
          if (other["name"] == element["name"]) known = true;
        }
        if (!known) into.push_back(element);
      }
    }
  }
  merged.set("current-context", current);
  return merged;
}

std::vector<std::string> kubeconfig_files(const ConfigOverrides& overrides) {
  if (!overrides.kubeconfig.empty()) return {overrides.kubeconfig};
  std::vector<std::string> files;
  if (const char* list = getenv("KUBECONFIG"); list != nullptr && *list != '\0') {
    for (std::string& file : split(list, ':')) {
      if (!file.empty()) files.push_back(std::move(file));
    }
    return files;
  }
  const char* home = getenv("HOME");
  std::string own = home != nullptr ? std::string(home) + "/.kube/config" : "";
  if (!own.empty() && base::file_exists(own)) return {own};
  return {kServersOwn};
}

Result<json::Value> read_kubeconfigs(const ConfigOverrides& overrides) {
  std::vector<json::Value> configs;
  for (const std::string& file : kubeconfig_files(overrides)) {
    if (!base::file_exists(file)) {
      if (overrides.kubeconfig.empty()) continue;
      return make_error(Code::kInvalid, fmt::format("stat {}: no such file or directory", file));
    }
    auto text = base::read_file(file);
    if (!text.ok()) {
      return make_error(Code::kInvalid, "error loading config file: " + text.error().message);
    }
    auto document = api::parse_yaml(*text);
    if (!document.ok()) {
      return make_error(Code::kInvalid, fmt::format("error loading config file \"{}\": {}", file,
                                                    document.error().message));
    }
    size_t slash = file.rfind('/');
    configs.push_back(with_absolute_paths(
        std::move(document->value), slash == std::string::npos ? "." : file.substr(0, slash)));
  }
  return merge_kubeconfigs(configs);
}

Result<ClientConfig> client_config(const json::Value& kubeconfig,
                                   const ConfigOverrides& overrides) {
  auto choose = [](const std::string& over, const json::Value& value) {
    return over.empty() ? value.text() : over;
  };
  std::string context_name = choose(overrides.context, kubeconfig["current-context"]);
  const json::Value& context = named(kubeconfig, "contexts", context_name, "context");
  if (!overrides.context.empty() && context.is_null()) {
    return make_error(Code::kInvalid,
                      fmt::format("context \"{}\" does not exist", overrides.context));
  }
  const json::Value& cluster =
      named(kubeconfig, "clusters", choose(overrides.cluster, context["cluster"]), "cluster");
  const json::Value& user =
      named(kubeconfig, "users", choose(overrides.user, context["user"]), "user");
  ClientConfig config;
  config.server = choose(overrides.server, cluster["server"]);
  if (config.server.empty()) config.server = "http://localhost:8080";
  if (config.server.find("://") == std::string::npos) config.server = "https://" + config.server;
  while (config.server.ends_with('/')) config.server.pop_back();
  TRY_ASSIGN(config.ca_pem, pem(cluster, "certificate-authority", overrides.ca_file));
  TRY_ASSIGN(config.cert_pem, pem(user, "client-certificate", overrides.cert_file));
  TRY_ASSIGN(config.key_pem, pem(user, "client-key", overrides.key_file));
  config.token = choose(overrides.token, user["token"]);
  if (config.token.empty() && user["tokenFile"].is_string()) {
    TRY_ASSIGN(config.token, base::read_file(user["tokenFile"].text()));
    while (!config.token.empty() && config.token.back() <= ' ') config.token.pop_back();
  }
  config.username = user["username"].text();
  config.password = user["password"].text();
  config.tls_server_name = cluster["tls-server-name"].text();
  config.insecure = overrides.insecure || cluster["insecure-skip-tls-verify"].as_bool();
  config.ns = choose(overrides.ns, context["namespace"]);
  if (config.ns.empty()) config.ns = "default";
  return config;
}

}  // namespace knarr::kubectl
