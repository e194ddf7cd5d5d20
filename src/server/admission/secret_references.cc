#include "server/admission/secret_references.h"

#include <set>

#include "base/format.h"

namespace knarr::server {
namespace {

using Names = std::set<std::string_view>;

Names names_of(const json::Value& references) {
  Names out;
  for (const json::Value& r : references.elements()) out.insert(r["name"].as_string());
  return out;
}

std::string refused(std::string_view where, std::string_view secret, std::string_view account) {
  return fmt::format(
      "{} secret.secretName=\"{}\" is not allowed because service account {} does not reference "
      "that secret",
      where, secret, account);
}

std::string of_containers(const json::Value& containers, const char* what, const Names& allowed,
                          std::string_view account) {
  for (const json::Value& c : containers.elements()) {
    for (const json::Value& variable : c["env"].elements()) {
      const json::Value& from = variable["valueFrom"]["secretKeyRef"];
      if (from.is_null() || allowed.contains(from["name"].as_string())) continue;
      std::string where = fmt::format("{} {} with envVar {} referencing", what,
                                      c["name"].as_string(), variable["name"].as_string());
      return refused(where, from["name"].as_string(), account);
    }
    for (const json::Value& source : c["envFrom"].elements()) {
      const json::Value& from = source["secretRef"];
      if (from.is_null() || allowed.contains(from["name"].as_string())) continue;
      std::string where =
          fmt::format("{} {} with envFrom referencing", what, c["name"].as_string());
      return refused(where, from["name"].as_string(), account);
    }
  }
  return "";
}

}  // namespace

bool limits_secrets(const json::Value& account) {
  std::string_view value =
      account["metadata"]["annotations"]["kubernetes.io/enforce-mountable-secrets"].as_string();
  for (std::string_view yes : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (value == yes) return true;
  }
  return false;
}

std::string forbidden_secret(const json::Value& account, const json::Value& pod) {
  std::string_view name = account["metadata"]["name"].as_string();
  Names secrets = names_of(account["secrets"]);
  const json::Value& spec = pod["spec"];
  for (const json::Value& volume : spec["volumes"].elements()) {
    const json::Value& source = volume["secret"];
    if (source.is_null() || secrets.contains(source["secretName"].as_string())) continue;
    return refused("volume with", source["secretName"].as_string(), name);
  }
  std::string first = of_containers(spec["initContainers"], "init container", secrets, name);
  if (first.empty()) first = of_containers(spec["containers"], "container", secrets, name);
  if (!first.empty()) return first;
  Names pull = names_of(account["imagePullSecrets"]);
  size_t i = 0;
  for (const json::Value& r : spec["imagePullSecrets"].elements()) {
    size_t index = i++;
    std::string_view secret = r["name"].as_string();
    if (pull.contains(secret)) continue;
    return fmt::format(
        "imagePullSecrets[{}].name=\"{}\" is not allowed because service account {} does not "
        "reference that imagePullSecret",
        index, secret, name);
  }
  return "";
}

std::string forbidden_ephemeral_secret(const json::Value& account, const json::Value& pod) {
  return of_containers(pod["spec"]["ephemeralContainers"], "ephemeral container",
                       names_of(account["secrets"]), account["metadata"]["name"].as_string());
}

}  // namespace knarr::server
