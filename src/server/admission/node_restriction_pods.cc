// A node makes mirror pods of its own alone, which must refer to nothing: it could read what they
// refer to. It writes the status of its own pods, and asks for tokens for them.

#include <set>
#include <utility>

#include "api/view/volume.h"
#include "base/format.h"
#include "server/admission/node_restriction.h"
#include "server/auth/pod_references.h"
#include "server/status/errors.h"

namespace knarr::server {
namespace {

constexpr std::string_view kMirror = "kubernetes.io/config.mirror";

Result<void> check_owner(const AdmissionRequest& request, std::string_view node,
                         const Cache& cache) {
  const json::Value& owners = (*request.object)["metadata"]["ownerReferences"];
  auto refuse = [&](std::string_view what) {
    return admission_forbidden(
        request, fmt::format("node \"{}\" can only create pods with {} set to itself", node, what));
  };
  if (owners.size() > 1) return refuse("a single owner reference");
  const json::Value& owner = owners[0];
  if (owner["apiVersion"].as_string() != "v1" || owner["kind"].as_string() != "Node" ||
      owner["name"].as_string() != node) {
    return refuse("an owner reference");
  }
  if (!owner["controller"].as_bool()) return refuse("a controller owner reference");
  if (owner["blockOwnerDeletion"].as_bool()) {
    return admission_forbidden(
        request,
        fmt::format("node \"{}\" must not set blockOwnerDeletion on an owner reference", node));
  }
  ObjectRef there = cache.get({{"", "nodes"}, {"", std::string(node)}});
  if (there == nullptr) return not_found("", "nodes", node);
  if (owner["uid"].as_string() == there->uid) return {};
  return admission_forbidden(request, fmt::format("node {} UID mismatch: expected {} got {}", node,
                                                  owner["uid"].as_string(), there->uid));
}

// The kind of objects that the pod refers to, if it does.
std::string_view reference_of(const json::Value& pod) {
  std::set<Reference> found;
  for_each_reference(pod, [&found](Reference kind, std::string_view) { found.insert(kind); });
  constexpr std::pair<Reference, std::string_view> kWords[] = {
      {Reference::kServiceAccount, "a service account"},
      {Reference::kSecret, "secrets"},
      {Reference::kConfigMap, "configmaps"},
      {Reference::kTrustBundle, "clustertrustbundles"},
      {Reference::kClaim, "persistentvolumeclaims"},
      {Reference::kResourceClaim, "resourceclaims"},
  };
  for (const auto& [kind, words] : kWords) {
    if (found.contains(kind)) return words;
  }
  return "";
}

Result<void> check_new(const AdmissionRequest& request, std::string_view node, const Cache& cache) {
  const json::Value& pod = *request.object;
  if (!pod["metadata"]["annotations"].has(kMirror)) {
    return admission_forbidden(
        request,
        fmt::format("pod does not have \"{}\" annotation, node \"{}\" can only create mirror pods",
                    kMirror, node));
  }
  if (pod["spec"]["nodeName"].as_string() != node) {
    return admission_forbidden(
        request,
        fmt::format("node \"{}\" can only create pods with spec.nodeName set to itself", node));
  }
  TRY(check_owner(request, node, cache));
  std::string_view referred = reference_of(pod);
  if (referred.empty()) return {};
  return admission_forbidden(
      request, fmt::format("node \"{}\" can not create pods that reference {}", node, referred));
}

Result<void> check_status(const AdmissionRequest& request, std::string_view node) {
  const json::Value& before = *request.old;
  const json::Value& after = *request.object;
  if (before["spec"]["nodeName"].as_string() != node) {
    return admission_forbidden(
        request, fmt::format("node \"{}\" can only update pod status for pods with spec.nodeName "
                             "set to itself",
                             node));
  }
  if (!same(before["metadata"]["labels"], after["metadata"]["labels"])) {
    return admission_forbidden(
        request, fmt::format("node \"{}\" cannot update labels through pod status", node));
  }
  if (!same(before["status"]["resourceClaimStatuses"], after["status"]["resourceClaimStatuses"])) {
    return admission_forbidden(
        request, fmt::format("node \"{}\" cannot update resource claim statues", node));
  }
  if (before["status"]["extendedResourceClaimStatus"] !=
      after["status"]["extendedResourceClaimStatus"]) {
    return admission_forbidden(
        request, fmt::format("node \"{}\" cannot update extended resource claim status", node));
  }
  return {};
}

// Null when it is not there.
json::Value stored(const Cache& cache, const GroupResource& resource, const NamespacedName& name) {
  ObjectRef object = cache.get({resource, name});
  Result<json::Value> value = object ? json::parse(object->json) : json::Value();
  return value.ok() ? *std::move(value) : json::Value();
}

// The CSI driver that a volume is of, its own or its claim's; empty: it is of none.
std::string driver_of(const json::Value& pod, const json::Value& volume, const Cache& cache) {
  if (volume.has("csi")) return volume["csi"]["driver"].text();
  const json::Value& meta = pod["metadata"];
  std::string name = volume["persistentVolumeClaim"]["claimName"].text();
  if (volume.has("ephemeral")) name = api::ephemeral_claim_name(meta["name"].text(), volume);
  if (name.empty()) return {};
  json::Value claim =
      stored(cache, {"", "persistentvolumeclaims"}, {meta["namespace"].text(), name});
  std::string bound = claim["spec"]["volumeName"].text();
  if (bound.empty()) return {};
  return stored(cache, {"", "persistentvolumes"}, {"", bound})["spec"]["csi"]["driver"].text();
}

// Whether a volume of the pod, or the driver of one, asks for tokens for this audience.
bool names_audience(const json::Value& pod, const std::string& audience, const Cache& cache) {
  auto driver_asks = [&](const std::string& driver) {
    json::Value object = stored(cache, {"storage.k8s.io", "csidrivers"}, {"", driver});
    for (const json::Value& asked : object["spec"]["tokenRequests"].elements()) {
      if (asked["audience"].as_string() == audience) return true;
    }
    return false;
  };
  for (const json::Value& volume : pod["spec"]["volumes"].elements()) {
    for (const json::Value& source : volume["projected"]["sources"].elements()) {
      if (!source.has("serviceAccountToken")) continue;
      if (source["serviceAccountToken"]["audience"].as_string() == audience) return true;
    }
    std::string driver = driver_of(pod, volume, cache);
    if (!driver.empty() && driver_asks(driver)) return true;
  }
  return false;
}

Result<void> check_audience(const AdmissionRequest& request, const json::Value& pod,
                            const AdmissionDeps& deps) {
  const json::Value& audiences = (*request.object)["spec"]["audiences"];
  if (audiences.size() > 1) {
    return admission_forbidden(request, "node may only request 0 or 1 audiences");
  }
  std::string audience = audiences[0].text();
  if (names_audience(pod, audience, deps.cache)) return {};
  Attributes attributes;
  attributes.user = request.user;
  attributes.verb = "request-serviceaccounts-token-audience";
  attributes.resource_request = true;
  attributes.version = "v1";
  attributes.resource = audience;
  attributes.ns = request.ns;
  attributes.name = request.name;
  if (deps.authorizer != nullptr && deps.authorizer->authorize(attributes).allowed) return {};
  return admission_forbidden(
      request, fmt::format("audience \"{}\" not found in pod spec volume, {} is not authorized to "
                           "request tokens for this audience",
                           audience, request.user->name));
}

}  // namespace

Result<void> restrict_pod(const AdmissionRequest& request, std::string_view node,
                          const Cache& cache) {
  if (request.subresource == "status") return check_status(request, node);
  if (!request.subresource.empty()) return {};  // of these the authorizer knows enough
  if (request.operation == Operation::kCreate) return check_new(request, node, cache);
  if (request.operation == Operation::kUpdate) {
    return admission_forbidden(
        request, fmt::format("unexpected operation \"UPDATE\", node \"{}\" can only create and "
                             "delete mirror pods",
                             node));
  }
  if ((*request.old)["spec"]["nodeName"].as_string() == node) return {};
  return admission_forbidden(
      request,
      fmt::format("node \"{}\" can only delete pods with spec.nodeName set to itself", node));
}

Result<void> restrict_token(const AdmissionRequest& request, std::string_view node,
                            const AdmissionDeps& deps) {
  const json::Value& bound = (*request.object)["spec"]["boundObjectRef"];
  std::string name = bound["name"].text(), uid = bound["uid"].text();
  if (bound["apiVersion"].as_string() != "v1" || bound["kind"].as_string() != "Pod" ||
      name.empty()) {
    return admission_forbidden(request, "node requested token not bound to a pod");
  }
  if (uid.empty()) {
    return admission_forbidden(request, "node requested token with a pod binding without a uid");
  }
  ObjectRef object = deps.cache.get({{"", "pods"}, {request.ns, name}});
  if (object == nullptr) return not_found("", "pods", name);
  if (object->uid != uid) {
    return admission_forbidden(
        request, fmt::format("the UID in the bound object reference ({}) does not match the UID in "
                             "record. The object might have been deleted and then recreated",
                             uid));
  }
  json::Value pod;
  TRY_ASSIGN(pod, json::parse(object->json));
  if (pod["spec"]["nodeName"].as_string() != node) {
    return admission_forbidden(request,
                               "node requested token bound to a pod scheduled on a different node");
  }
  return check_audience(request, pod, deps);
}

}  // namespace knarr::server
