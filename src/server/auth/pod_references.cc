#include "server/auth/pod_references.h"

#include <string>

namespace knarr::server {
namespace {

bool is_mirror(const json::Value& pod) {
  return pod["metadata"]["annotations"].has("kubernetes.io/config.mirror");
}

// The environment of any container: `key_ref` of a variable, `from` of all of an object's keys.
bool environment_refers(const json::Value& spec, std::string_view key_ref, std::string_view from,
                        std::string_view name) {
  for (const char* list : {"containers", "initContainers", "ephemeralContainers"}) {
    for (const json::Value& c : spec[list].elements()) {
      for (const json::Value& variable : c["env"].elements()) {
        if (variable["valueFrom"][key_ref]["name"].as_string() == name) return true;
      }
      for (const json::Value& source : c["envFrom"].elements()) {
        if (source[from]["name"].as_string() == name) return true;
      }
    }
  }
  return false;
}

bool projection_refers(const json::Value& volume, const char* kind, std::string_view name) {
  for (const json::Value& source : volume["projected"]["sources"].elements()) {
    if (source[kind]["name"].as_string() == name) return true;
  }
  return false;
}

// The references by which volume plug-ins name secrets, inside their own part of the source.
constexpr const char* kPlainReferences[] = {"secretRef", "nodePublishSecretRef"};
constexpr const char* kReferences[] = {"secretRef", "nodePublishSecretRef", "nodeStageSecretRef",
                                       "nodeExpandSecretRef"};

}  // namespace

bool refers_to_secret(const json::Value& pod, std::string_view name) {
  if (is_mirror(pod)) return false;
  const json::Value& spec = pod["spec"];
  for (const json::Value& secret : spec["imagePullSecrets"].elements()) {
    if (secret["name"].as_string() == name) return true;
  }
  if (environment_refers(spec, "secretKeyRef", "secretRef", name)) return true;
  for (const json::Value& volume : spec["volumes"].elements()) {
    if (projection_refers(volume, "secret", name)) return true;
    for (json::Member source : volume.members()) {
      if (source.value["secretName"].as_string() == name) return true;
      for (const char* reference : kPlainReferences) {
        if (source.value[reference]["name"].as_string() == name) return true;
      }
    }
  }
  return false;
}

bool refers_to_config_map(const json::Value& pod, std::string_view name) {
  if (is_mirror(pod)) return false;
  const json::Value& spec = pod["spec"];
  if (environment_refers(spec, "configMapKeyRef", "configMapRef", name)) return true;
  for (const json::Value& volume : spec["volumes"].elements()) {
    if (volume["configMap"]["name"].as_string() == name) return true;
    if (projection_refers(volume, "configMap", name)) return true;
  }
  return false;
}

bool refers_to_service_account(const json::Value& pod, std::string_view name) {
  return !is_mirror(pod) && pod["spec"]["serviceAccountName"].as_string() == name;
}

bool refers_to_claim(const json::Value& pod, std::string_view name) {
  if (is_mirror(pod)) return false;
  for (const json::Value& volume : pod["spec"]["volumes"].elements()) {
    if (volume["persistentVolumeClaim"]["claimName"].as_string() == name) return true;
    if (volume.has("ephemeral") &&
        pod["metadata"]["name"].text() + "-" + volume["name"].text() == name) {
      return true;
    }
  }
  return false;
}

bool refers_to_resource_claim(const json::Value& pod, std::string_view name) {
  if (is_mirror(pod)) return false;
  for (const json::Value& claim : pod["spec"]["resourceClaims"].elements()) {
    if (claim["resourceClaimName"].as_string() == name) return true;
  }
  const json::Value& status = pod["status"];
  for (const json::Value& claim : status["resourceClaimStatuses"].elements()) {
    if (claim["resourceClaimName"].as_string() == name) return true;
  }
  return status["extendedResourceClaimStatus"]["resourceClaimName"].as_string() == name;
}

bool volume_refers_to_secret(const json::Value& volume, std::string_view ns,
                             std::string_view name) {
  const json::Value& spec = volume["spec"];
  std::string_view claim_ns = spec["claimRef"]["namespace"].as_string();
  if (claim_ns.empty()) return false;
  for (json::Member source : spec.members()) {
    if (source.value["secretName"].as_string() == name &&
        source.value["secretNamespace"].as_string(claim_ns) == ns) {
      return true;
    }
    for (const char* reference : kReferences) {
      const json::Value& secret = source.value[reference];
      if (secret["name"].as_string() == name && secret["namespace"].as_string(claim_ns) == ns) {
        return true;
      }
    }
  }
  return false;
}

}  // namespace knarr::server
