#include "runtime/image/docker_config.h"

#include <fnmatch.h>

#include <algorithm>

#include "base/json.h"
#include "runtime/image/reference.h"

namespace knarr::runtime {

namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

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

std::string base64_encode(std::string_view bytes) {
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    unsigned group = 0;
    for (size_t k = 0; k < 3; ++k) {
      group = (group << 8) | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    }
    for (size_t k = 0; k < 4; ++k) {
      out += i + k <= bytes.size() ? kAlphabet[(group >> (18 - 6 * k)) & 63] : '=';
    }
  }
  return out;
}

Result<std::string> base64_decode(std::string_view text) {
  while (!text.empty() && (text.back() == '=' || text.back() == '\n')) text.remove_suffix(1);
  std::string out;
  unsigned bits = 0;
  int have = 0;
  for (char c : text) {
    size_t value = kAlphabet.find(c);
    if (value == std::string_view::npos) return make_error(Code::kInvalid, "illegal base64 data");
    bits = (bits << 6) | static_cast<unsigned>(value);
    have += 6;
    if (have >= 8) {
      have -= 8;
      out += static_cast<char>((bits >> have) & 0xff);
    }
  }
  return out;
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
      TRY_ASSIGN(std::string plain, base64_decode(packed));
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
