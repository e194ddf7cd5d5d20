// NodeRestriction: what a node may write, where the request's name does not say enough for the
// authorizer: of its own Node everything but what steers pods, or their traffic, to it; of its pods
// the status; of claims what resizing them changes; of volumes the finalizer of its own local ones.
// A node's key stays the one it joined with.

#include "server/admission/node_restriction.h"

#include <set>

#include "api/node_labels.h"
#include "base/base64.h"
#include "base/format.h"
#include "knarr/names.h"
#include "server/admission/plugins.h"
#include "server/auth/node_authorizer.h"
#include "server/auth/signing_request.h"

namespace knarr::server {
namespace {

// Keys that differ and are not the node's to set, in their order.
std::string forbidden_labels(const json::Value& before, const json::Value& after) {
  std::set<std::string> keys;
  auto compare = [&keys](const json::Value& a, const json::Value& b) {
    for (json::Member m : a.members()) {
      if (!(b[m.key] == m.value) && !api::node_may_set_label(m.key)) keys.emplace(m.key);
    }
  };
  compare(before, after);
  compare(after, before);
  std::string text;
  for (const std::string& key : keys) text += (text.empty() ? "" : ", ") + key;
  return text;
}

// Without what every write changes.
json::Value comparable(json::Value object, std::initializer_list<const char*> status = {}) {
  json::Value& meta = object.member("metadata");
  for (const char* key : {"resourceVersion", "managedFields", "generation"}) meta.erase(key);
  if (meta["finalizers"].empty()) meta.erase("finalizers");
  for (const char* key : status) object.member("status").erase(key);
  return object;
}

class NodeRestriction final : public AdmissionPlugin {
 public:
  explicit NodeRestriction(const AdmissionDeps& deps) : deps_(deps) {}
  std::string_view name() const override { return "NodeRestriction"; }

  // Before anything else judges what is written.
  Result<void> mutate(AdmissionRequest& request) override {
    const char* node = request.user == nullptr ? nullptr : node_name(*request.user);
    if (node == nullptr) return {};
    bool created = request.operation == Operation::kCreate;
    if (request.is("", "pods")) return restrict_pod(request, node, deps_.cache);
    if (request.is("", "nodes")) return check_node(request, node);
    if (request.is("", "persistentvolumes")) return check_volume(request, node);
    if (request.is("", "persistentvolumeclaims")) return check_claim(request, node);
    if (request.is("", "serviceaccounts") && created && request.subresource == "token") {
      return restrict_token(request, node, deps_);
    }
    if (request.is("coordination.k8s.io", "leases") && created && request.name != node) {
      return admission_forbidden(
          request, "can only access node lease with the same name as the requesting node");
    }
    if (request.is("storage.k8s.io", "csinodes") && created && request.name != node) {
      return admission_forbidden(
          request, "can only access CSINode with the same name as the requesting node");
    }
    if (request.is("resource.k8s.io", "resourceslices")) return check_slice(request, node);
    if (request.is("certificates.k8s.io", "certificatesigningrequests") && created) {
      return check_signing(request, node);
    }
    return {};
  }

 private:
  static Result<void> check_node(const AdmissionRequest& request, std::string_view node) {
    auto refuse = [&](const std::string& why) { return admission_forbidden(request, why); };
    if (request.name != node) {
      return refuse(
          fmt::format("node \"{}\" is not allowed to modify node \"{}\"", node, request.name));
    }
    if (request.object == nullptr) return {};
    const json::Value& after = *request.object;
    const json::Value& meta = after["metadata"];
    TRY(check_ranges(request, node));
    if (request.operation == Operation::kCreate) {
      std::string labels = forbidden_labels({}, meta["labels"]);
      if (labels.empty()) return {};
      return refuse(
          fmt::format("node \"{}\" is not allowed to set the following labels: {}", node, labels));
    }
    const json::Value& before = *request.old;
    TRY(check_key(request, node));
    if (!same(before["spec"]["taints"], after["spec"]["taints"])) {
      return refuse(fmt::format("node \"{}\" is not allowed to modify taints", node));
    }
    if (!same(before["metadata"]["ownerReferences"], meta["ownerReferences"])) {
      return refuse(fmt::format("node \"{}\" is not allowed to modify ownerReferences", node));
    }
    std::string labels = forbidden_labels(before["metadata"]["labels"], meta["labels"]);
    if (labels.empty()) return {};
    return refuse("is not allowed to modify labels: " + labels);
  }

  // Every node sends what is for these addresses to it: they are the cluster's to give.
  static Result<void> check_ranges(const AdmissionRequest& request, std::string_view node) {
    if (!request.subresource.empty()) return {};  // the status leaves the spec as it is
    const json::Value before = request.old == nullptr ? json::Value() : (*request.old)["spec"];
    const json::Value& after = (*request.object)["spec"];
    for (const char* field : {"podCIDR", "podCIDRs"}) {
      if (same(before[field], after[field])) continue;
      return admission_forbidden(
          request, fmt::format("node \"{}\" is not allowed to set spec.{}", node, field));
    }
    return {};
  }

  // It tells the machine from others of its name: who is another has another name.
  static Result<void> check_key(const AdmissionRequest& request, std::string_view node) {
    const json::Value& before = (*request.old)["metadata"]["annotations"][kNodeKeyAnnotation];
    const json::Value& after = (*request.object)["metadata"]["annotations"][kNodeKeyAnnotation];
    if (before.is_null() || before == after) return {};
    return admission_forbidden(
        request, fmt::format("node \"{}\" is known as another machine: join with another "
                             "--node-name, or run `kubectl delete node {}`",
                             node, node));
  }

  static Result<void> check_volume(const AdmissionRequest& request, std::string_view node) {
    if (request.operation != Operation::kUpdate || !request.subresource.empty()) return {};
    const json::Value& labels = (*request.old)["metadata"]["labels"];
    json::Value wanted = *request.old;
    json::Value& finalizers = wanted.member("metadata").member("finalizers");
    for (size_t i = finalizers.size(); i-- > 0;) {
      if (finalizers[i].as_string() == kLocalStorageFinalizer) finalizers.erase_at(i);
    }
    bool own = labels[kLocalStorageNodeLabel].as_string() == node;
    if (own && comparable(*request.object) == comparable(wanted)) return {};
    return admission_forbidden(
        request, fmt::format("node \"{}\" may only take its finalizer from local volumes of its "
                             "own",
                             node));
  }

  static Result<void> check_claim(const AdmissionRequest& request, std::string_view node) {
    if (request.subresource != "status") {
      return admission_forbidden(request, "may only update PVC status");
    }
    auto rest = [](const json::Value& claim) {
      return comparable(
          claim, {"capacity", "conditions", "allocatedResources", "allocatedResourceStatuses"});
    };
    if (rest(*request.old) == rest(*request.object)) return {};
    return admission_forbidden(request,
                               fmt::format("node \"{}\" is not allowed to update fields other than "
                                           "status.quantity and status.conditions",
                                           node));
  }

  static Result<void> check_slice(const AdmissionRequest& request, std::string_view node) {
    if (request.operation == Operation::kUpdate) return {};
    bool created = request.operation == Operation::kCreate;
    const json::Value& slice = created ? *request.object : *request.old;
    if (slice["spec"]["nodeName"].as_string() == node) return {};
    return admission_forbidden(request,
                               fmt::format("can only {} ResourceSlice with the same NodeName as "
                                           "the requesting node",
                                           created ? "create" : "delete"));
  }

  static Result<void> check_signing(const AdmissionRequest& request, std::string_view node) {
    const json::Value& spec = (*request.object)["spec"];
    std::string_view signer = spec["signerName"].as_string();
    if (signer != "kubernetes.io/kubelet-serving" &&
        signer != "kubernetes.io/kube-apiserver-client-kubelet" && signer != kNodeSigner) {
      return {};
    }
    auto pem = base::base64_decode(spec["request"].as_string());
    auto asked = pem.ok() ? read_signing_request(*pem) : Result<SigningRequestInfo>(pem.error());
    if (!asked.ok()) {
      return admission_forbidden(request, "unable to parse csr: " + asked.error().message);
    }
    if (asked->common_name == std::string(kNodeUserPrefix) + std::string(node)) return {};
    return admission_forbidden(
        request, fmt::format("can only create a node CSR with CN={}{}", kNodeUserPrefix, node));
  }

  AdmissionDeps deps_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> make_node_restriction(const AdmissionDeps& deps) {
  return std::make_unique<NodeRestriction>(deps);
}

}  // namespace knarr::server
