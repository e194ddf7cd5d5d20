#include "runtime/image/registries.h"

#include <re2/re2.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>

#include "base/format.h"
#include "runtime/image/docker_config.h"
#include "runtime/image/files.h"

namespace knarr::runtime {

namespace {

constexpr int64_t kMaxFileBytes = 1 << 20;

std::string text(const YAML::Node& node) {
  return node && node.IsScalar() ? node.Scalar() : std::string();
}

RegistryMirror parse_mirror(const YAML::Node& node) {
  RegistryMirror mirror;
  if (!node.IsMap()) return mirror;
  const YAML::Node endpoints = node["endpoint"];
  if (endpoints && endpoints.IsSequence()) {
    for (const YAML::Node& endpoint : endpoints) mirror.endpoints.push_back(text(endpoint));
  }
  const YAML::Node rewrites = node["rewrite"];
  if (rewrites && rewrites.IsMap()) {
    for (const auto& pair : rewrites) {
      mirror.rewrites.emplace_back(text(pair.first), text(pair.second));
    }
  }
  return mirror;
}

Result<RegistryConfig> parse_config(const YAML::Node& node) {
  RegistryConfig config;
  if (!node.IsMap()) return config;
  if (const YAML::Node auth = node["auth"]; auth && auth.IsMap()) {
    config.auth = {text(auth["username"]), text(auth["password"]), text(auth["identity_token"])};
    if (std::string packed = text(auth["auth"]); !packed.empty()) {
      TRY_ASSIGN(std::string plain, credentials_of(packed));
      size_t colon = std::min(plain.find(':'), plain.size());
      config.auth.username = plain.substr(0, colon);
      config.auth.password = plain.substr(std::min(colon + 1, plain.size()));
    }
  }
  if (const YAML::Node tls = node["tls"]; tls && tls.IsMap()) {
    config.tls = {text(tls["ca_file"]), text(tls["cert_file"]), text(tls["key_file"]),
                  text(tls["insecure_skip_verify"]) == "true"};
  }
  return config;
}

Result<Registries> parse_node(const YAML::Node& root) {
  Registries out;
  if (!root || root.IsNull()) return out;
  if (!root.IsMap()) return make_error(Code::kInvalid, "registries: not a mapping");
  if (const YAML::Node mirrors = root["mirrors"]; mirrors && mirrors.IsMap()) {
    for (const auto& pair : mirrors) out.mirrors[text(pair.first)] = parse_mirror(pair.second);
  }
  if (const YAML::Node configs = root["configs"]; configs && configs.IsMap()) {
    for (const auto& pair : configs) {
      TRY_ASSIGN(out.configs[text(pair.first)], parse_config(pair.second));
    }
  }
  for (const auto& [name, mirror] : out.mirrors) {
    for (const auto& [pattern, replacement] : mirror.rewrites) {
      if (!RE2(pattern, RE2::Quiet).ok()) {
        return make_error(
            Code::kInvalid,
            fmt::format("registries: rewrite of {}: bad pattern \"{}\"", name, pattern));
      }
    }
  }
  return out;
}

bool is_loopback(const std::string& host_port) {
  std::string host = host_port;
  if (host.starts_with('[')) {
    host = host.substr(1, host.find(']') - 1);
  } else {
    host = host.substr(0, host.find(':'));
  }
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

// "$1" as Go writes it, "\1" as RE2 does.
std::string rewritten(const RegistryMirror& mirror, const std::string& path) {
  for (const auto& [pattern, replacement] : mirror.rewrites) {
    RE2 re(pattern, RE2::Quiet);
    if (!RE2::PartialMatch(path, re)) continue;
    std::string to;
    for (size_t i = 0; i < replacement.size(); ++i) {
      bool group = replacement[i] == '$' && i + 1 < replacement.size() &&
                   replacement[i + 1] >= '0' && replacement[i + 1] <= '9';
      if (replacement[i] == '\\') to += '\\';
      to += group ? '\\' : replacement[i];
    }
    std::string out = path;
    RE2::GlobalReplace(&out, re, to);
    return out;
  }
  return path;
}

const RegistryConfig* find_config(const Registries& registries, const std::string& host) {
  std::vector<std::string> names{host};
  if (host == "registry-1.docker.io") names = {host, "docker.io", "index.docker.io"};
  for (const std::string& name : names) {
    if (auto it = registries.configs.find(name); it != registries.configs.end()) return &it->second;
  }
  return nullptr;
}

Endpoint make_endpoint(const Registries& registries, std::string url) {
  size_t scheme = url.find("://");
  bool given = scheme != std::string::npos;
  Endpoint endpoint;
  std::string rest = given ? url.substr(scheme + 3) : url;
  endpoint.host = rest.substr(0, rest.find('/'));
  const RegistryConfig* config = find_config(registries, endpoint.host);
  if (config != nullptr) endpoint.config = *config;
  if (!given) {
    bool tls =
        endpoint.host.ends_with(":443") ||
        (config != nullptr && (!config->tls.ca_file.empty() || !config->tls.cert_file.empty() ||
                               config->tls.insecure_skip_verify));
    url = (is_loopback(endpoint.host) && !tls ? "http://" : "https://") + rest;
  }
  while (url.ends_with('/')) url.pop_back();
  if (url.ends_with("/v2")) url.resize(url.size() - 3);
  endpoint.base_url = url;
  return endpoint;
}

}  // namespace

Result<Registries> parse_registries(std::string_view yaml) {
  try {
    return parse_node(YAML::Load(std::string(yaml)));
  } catch (const YAML::Exception& e) {
    return make_error(Code::kInvalid, std::string("registries: ") + e.what());
  }
}

Result<Registries> load_registries(const std::string& path) {
  Result<std::string> bytes = read_file(path, kMaxFileBytes);
  if (!bytes.ok() && bytes.error().code == Code::kNotFound) return Registries();
  if (!bytes.ok()) return bytes.error();
  return parse_registries(*bytes);
}

std::vector<Endpoint> endpoints_for(const Registries& registries, const Reference& reference) {
  std::vector<Endpoint> out;
  auto mirror = registries.mirrors.find(reference.domain);
  if (mirror == registries.mirrors.end()) mirror = registries.mirrors.find("*");
  if (mirror != registries.mirrors.end()) {
    for (const std::string& url : mirror->second.endpoints) {
      if (url.empty()) continue;
      Endpoint endpoint = make_endpoint(registries, url);
      endpoint.repository = rewritten(mirror->second, reference.path);
      if (endpoint.host != reference.domain) endpoint.mirrored = reference.domain;
      out.push_back(std::move(endpoint));
    }
  }
  bool hub = reference.domain == "docker.io";
  Endpoint own = make_endpoint(registries, hub ? "registry-1.docker.io" : reference.domain);
  own.repository = reference.path;
  out.push_back(std::move(own));
  return out;
}

}  // namespace knarr::runtime
