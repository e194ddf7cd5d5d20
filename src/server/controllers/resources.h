// The resources that controllers read and write, by name, and requests made of them.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "knarr/client.h"
#include "knarr/object_key.h"

namespace knarr::server {

struct ResourceName {
  const char* group;
  const char* version;
  const char* plural;
  const char* kind;

  GroupResource key() const { return {group, plural}; }
  std::string api_version() const {
    return *group == '\0' ? version : std::string(group) + "/" + version;
  }
};

inline constexpr ResourceName kPods{"", "v1", "pods", "Pod"};
inline constexpr ResourceName kNodes{"", "v1", "nodes", "Node"};
inline constexpr ResourceName kServices{"", "v1", "services", "Service"};
inline constexpr ResourceName kEndpoints{"", "v1", "endpoints", "Endpoints"};
inline constexpr ResourceName kNamespaces{"", "v1", "namespaces", "Namespace"};
inline constexpr ResourceName kConfigMaps{"", "v1", "configmaps", "ConfigMap"};
inline constexpr ResourceName kSecrets{"", "v1", "secrets", "Secret"};
inline constexpr ResourceName kServiceAccounts{"", "v1", "serviceaccounts", "ServiceAccount"};
inline constexpr ResourceName kReplicationControllers{"", "v1", "replicationcontrollers",
                                                      "ReplicationController"};
inline constexpr ResourceName kClaims{"", "v1", "persistentvolumeclaims", "PersistentVolumeClaim"};
inline constexpr ResourceName kVolumes{"", "v1", "persistentvolumes", "PersistentVolume"};
inline constexpr ResourceName kResourceQuotas{"", "v1", "resourcequotas", "ResourceQuota"};
inline constexpr ResourceName kDeployments{"apps", "v1", "deployments", "Deployment"};
inline constexpr ResourceName kReplicaSets{"apps", "v1", "replicasets", "ReplicaSet"};
inline constexpr ResourceName kStatefulSets{"apps", "v1", "statefulsets", "StatefulSet"};
inline constexpr ResourceName kDaemonSets{"apps", "v1", "daemonsets", "DaemonSet"};
inline constexpr ResourceName kControllerRevisions{"apps", "v1", "controllerrevisions",
                                                   "ControllerRevision"};
inline constexpr ResourceName kJobs{"batch", "v1", "jobs", "Job"};
inline constexpr ResourceName kCronJobs{"batch", "v1", "cronjobs", "CronJob"};
inline constexpr ResourceName kEndpointSlices{"discovery.k8s.io", "v1", "endpointslices",
                                              "EndpointSlice"};
inline constexpr ResourceName kLeases{"coordination.k8s.io", "v1", "leases", "Lease"};
inline constexpr ResourceName kBudgets{"policy", "v1", "poddisruptionbudgets",
                                       "PodDisruptionBudget"};
inline constexpr ResourceName kStorageClasses{"storage.k8s.io", "v1", "storageclasses",
                                              "StorageClass"};
inline constexpr ResourceName kVolumeAttributesClasses{
    "storage.k8s.io", "v1", "volumeattributesclasses", "VolumeAttributesClass"};
inline constexpr ResourceName kAutoscalers{"autoscaling", "v2", "horizontalpodautoscalers",
                                           "HorizontalPodAutoscaler"};
inline constexpr ResourceName kSigningRequests{
    "certificates.k8s.io", "v1", "certificatesigningrequests", "CertificateSigningRequest"};
inline constexpr ResourceName kClusterRoles{"rbac.authorization.k8s.io", "v1", "clusterroles",
                                            "ClusterRole"};
inline constexpr ResourceName kResourceClaims{"resource.k8s.io", "v1", "resourceclaims",
                                              "ResourceClaim"};
inline constexpr ResourceName kResourceClaimTemplates{
    "resource.k8s.io", "v1", "resourceclaimtemplates", "ResourceClaimTemplate"};
inline constexpr ResourceName kPriorityClasses{"scheduling.k8s.io", "v1", "priorityclasses",
                                               "PriorityClass"};

inline client::Target target_of(const ResourceName& r, const NamespacedName& name,
                                std::string subresource = {}) {
  return {r.group, r.version, r.plural, name.ns, name.name, std::move(subresource)};
}

inline client::Request create_request(const ResourceName& r, const std::string& ns,
                                      json::Value object) {
  if (!object.has("apiVersion")) object.set("apiVersion", r.api_version()).set("kind", r.kind);
  return {client::Verb::kCreate, target_of(r, {ns, ""}), json::write(object), {}, {}};
}

// Of a whole object with its resourceVersion: a conflict is an error, and the key comes again.
inline client::Request update_request(const ResourceName& r, const json::Value& object,
                                      std::string subresource = {}) {
  const json::Value& meta = object["metadata"];
  return {client::Verb::kUpdate,
          target_of(r, {meta["namespace"].text(), meta["name"].text()}, std::move(subresource)),
          json::write(object),
          {},
          {}};
}

inline client::Request patch_request(const ResourceName& r, const NamespacedName& name,
                                     const json::Value& patch,
                                     client::PatchType type = client::PatchType::kStrategicMerge,
                                     std::string subresource = {}) {
  return {client::Verb::kPatch,
          target_of(r, name, std::move(subresource)),
          json::write(patch),
          type,
          {}};
}

// uid empty: whatever has the name.
inline client::Request delete_request(const ResourceName& r, const NamespacedName& name,
                                      const std::string& uid, const char* propagation = nullptr) {
  json::Value options = json::Value::object({{"apiVersion", "v1"}, {"kind", "DeleteOptions"}});
  if (propagation != nullptr) options.set("propagationPolicy", propagation);
  if (!uid.empty()) options.set("preconditions", json::Value::object({{"uid", uid}}));
  return {client::Verb::kDelete, target_of(r, name), json::write(options), {}, {}};
}

}  // namespace knarr::server
