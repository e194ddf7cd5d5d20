#include "server/auth/pod_references.h"

#include <string>

#include "api/view/volume.h"

namespace knarr::server {
namespace {

using Fn = std::function<void(Reference, std::string_view)>;

// The references by which volume plug-ins name secrets, inside their own part of the source.
constexpr const char* kPlainReferences[] = {"secretRef", "nodePublishSecretRef"};
constexpr const char* kReferences[] = {"secretRef", "nodePublishSecretRef", "nodeStageSecretRef",
                                       "nodeExpandSecretRef"};

void tell(const Fn& fn, Reference kind, const json::Value& named, const char* field = "name") {
  if (!named.is_null()) fn(kind, named[field].as_string());
}

void of_environment(const json::Value& spec, const Fn& fn) {
  for (const char* list : {"containers", "initContainers", "ephemeralContainers"}) {
    for (const json::Value& c : spec[list].elements()) {
      for (const json::Value& variable : c["env"].elements()) {
        tell(fn, Reference::kSecret, variable["valueFrom"]["secretKeyRef"]);
        tell(fn, Reference::kConfigMap, variable["valueFrom"]["configMapKeyRef"]);
      }
      for (const json::Value& source : c["envFrom"].elements()) {
        tell(fn, Reference::kSecret, source["secretRef"]);
        tell(fn, Reference::kConfigMap, source["configMapRef"]);
      }
    }
  }
}

void of_volume(const std::string& pod, const json::Value& volume, const Fn& fn) {
  for (const json::Value& source : volume["projected"]["sources"].elements()) {
    tell(fn, Reference::kSecret, source["secret"]);
    tell(fn, Reference::kConfigMap, source["configMap"]);
    tell(fn, Reference::kTrustBundle, source["clusterTrustBundle"]);
  }
  for (json::Member source : volume.members()) {
    if (source.value.has("secretName")) tell(fn, Reference::kSecret, source.value, "secretName");
    for (const char* reference : kPlainReferences) {
      tell(fn, Reference::kSecret, source.value[reference]);
    }
  }
  tell(fn, Reference::kConfigMap, volume["configMap"]);
  tell(fn, Reference::kClaim, volume["persistentVolumeClaim"], "claimName");
  if (volume.has("ephemeral")) fn(Reference::kOwnClaim, api::ephemeral_claim_name(pod, volume));
}

}  // namespace

void for_each_reference(const json::Value& pod, const Fn& fn) {
  const json::Value& spec = pod["spec"];
  std::string_view account = spec["serviceAccountName"].as_string();
  if (!account.empty()) fn(Reference::kServiceAccount, account);
  for (const json::Value& secret : spec["imagePullSecrets"].elements()) {
    tell(fn, Reference::kSecret, secret);
  }
  of_environment(spec, fn);
  const std::string name = pod["metadata"]["name"].text();
  for (const json::Value& volume : spec["volumes"].elements()) of_volume(name, volume, fn);
  for (const json::Value& claim : spec["resourceClaims"].elements()) {
    tell(fn, Reference::kResourceClaim, claim, "resourceClaimName");
  }
  const json::Value& status = pod["status"];
  for (const json::Value& claim : status["resourceClaimStatuses"].elements()) {
    tell(fn, Reference::kResourceClaim, claim, "resourceClaimName");
  }
  tell(fn, Reference::kResourceClaim, status["extendedResourceClaimStatus"], "resourceClaimName");
}

bool refers_to(const json::Value& pod, Reference kind, std::string_view name) {
  if (pod["metadata"]["annotations"].has("kubernetes.io/config.mirror")) return false;
  bool found = false;
  for_each_reference(
      pod, [&](Reference k, std::string_view n) { found = found || (k == kind && n == name); });
  return found;
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
