#include "runtime/image/docker_config.h"

#include <fnmatch.h>

#include <algorithm>

#include "base/base64.h"
#include "base/json.h"
#include "runtime/image/reference.h"

namespace knarr::runtime {

namespace {

std::string normalize(std::string_view key) {
  size_t scheme = key.find("://");
  if (scheme != std::string_view::npos) key.remove_prefix(scheme + 3);
  std::string out(key);
  for (std::string_view suffix : {"/v1/", "/v2/", "/v1", "/v2", "/"}) {
    if (out.ends_with(suffix)) {
      out.resize(out.size() - suffix.size());
      break;
    }
  }
  // The names Docker Hub has had.
  if (out == "index.docker.io" || out == "registry-1.docker.io") out = "docker.io";
  return out;
}

struct HostPath {
  std::string host;
  std::string path;
};

HostPath split(const std::string& text) {
  size_t slash = text.find('/');
  if (slash == std::string::npos) return {text, ""};
  return {text.substr(0, slash), text.substr(slash + 1)};
}

size_t labels(std::string_view host) {
  return static_cast<size_t>(std::count(host.begin(), host.end(), '.'));
}

// A '*' stands for one label of the host or a part of it; the path is a prefix of whole components.
bool fits(const std::string& pattern, const HostPath& image) {
  HostPath want = split(pattern);
  if (labels(want.host) != labels(image.host)) return false;
  if (fnmatch(want.host.c_str(), image.host.c_str(), FNM_NOESCAPE) != 0) return false;
  if (!image.path.starts_with(want.path)) return false;
  return want.path.empty() || image.path.size() == want.path.size() ||
         image.path[want.path.size()] == '/';
}

}  // namespace

Result<std::string> credentials_of(std::string_view base64) {
  base64 = base64.substr(0, base64.find_last_not_of("=\n\r") + 1);
  return base::base64_decode(base64, base::Base64::kStandardRaw);
}

Result<std::vector<DockerAuth>> parse_docker_config(std::string_view text) {
  TRY_ASSIGN(json::Value value, json::parse(text));
  const json::Value& entries = value.has("auths") ? value["auths"] : value;
  std::vector<DockerAuth> out;
  for (const auto& [key, entry] : entries.members()) {
    if (!entry.is_object()) continue;
    DockerAuth auth;
    auth.pattern = normalize(key);
    auth.auth.username = entry["username"].text();
    auth.auth.password = entry["password"].text();
    auth.auth.identity_token = entry["identitytoken"].text();
    if (std::string_view packed = entry["auth"].as_string(); !packed.empty()) {
      TRY_ASSIGN(std::string plain, credentials_of(packed));
      size_t colon = plain.find(':');
      if (colon == std::string::npos) {
        return make_error(Code::kInvalid,
                          "unable to parse auth field, must be formatted as "
                          "base64(username:password)");
      }
      auth.auth.username = plain.substr(0, colon);
      auth.auth.password = plain.substr(colon + 1);
      while (!auth.auth.password.empty() && auth.auth.password.back() == '\0') {
        auth.auth.password.pop_back();
      }
    }
    out.push_back(std::move(auth));
  }
  return out;
}

std::vector<RegistryAuth> auths_for(const std::vector<DockerAuth>& auths, std::string_view image) {
  Result<Reference> ref = parse_reference(image);
  if (!ref.ok()) return {};
  HostPath wanted{ref->domain, ref->path};
  std::vector<const DockerAuth*> found;
  for (const DockerAuth& auth : auths) {
    if (fits(auth.pattern, wanted)) found.push_back(&auth);
  }
  std::stable_sort(found.begin(), found.end(), [](const DockerAuth* a, const DockerAuth* b) {
    return split(a->pattern).path.size() > split(b->pattern).path.size();
  });
  std::vector<RegistryAuth> out;
  for (const DockerAuth* auth : found) out.push_back(auth->auth);
  return out;
}

}  // namespace knarr::runtime
