// NodeRestriction, as far as it looks at what a node creates: its own Node, and mirror pods bound
// to itself; that a node's key stays the one it joined with; and that of volumes it takes away
// nothing but the finalizer of its own local ones. What else a node may change and delete, the node
// authorizer knows without the body.

#include "base/format.h"
#include "knarr/names.h"
#include "server/admission/plugins.h"
#include "server/auth/node_authorizer.h"

namespace knarr::server {
namespace {

constexpr std::string_view kMirror = "kubernetes.io/config.mirror";

class NodeRestriction final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "NodeRestriction"; }

  Result<void> validate(const AdmissionRequest& request) override {
    const char* node = request.user == nullptr ? nullptr : node_name(*request.user);
    if (node == nullptr || !request.subresource.empty()) return {};
    if (request.operation == Operation::kUpdate && request.is("", "nodes")) {
      return check_key(request, node);
    }
    if (request.operation == Operation::kUpdate && request.is("", "persistentvolumes")) {
      return check_volume(request, node);
    }
    if (request.operation != Operation::kCreate) return {};
    if (request.is("", "nodes") && request.name != node) {
      return admission_forbidden(
          request,
          fmt::format("node \"{}\" is not allowed to modify node \"{}\"", node, request.name));
    }
    if (request.is("", "pods")) return check_pod(request, node);
    return {};
  }

 private:
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

  // Without what every write changes.
  static json::Value comparable(json::Value volume) {
    json::Value& meta = volume.member("metadata");
    for (const char* key : {"resourceVersion", "managedFields", "generation"}) meta.erase(key);
    if (meta["finalizers"].empty()) meta.erase("finalizers");
    return volume;
  }

  static Result<void> check_pod(const AdmissionRequest& request, std::string_view node) {
    const json::Value& pod = *request.object;
    if (!pod["metadata"]["annotations"].has(kMirror)) {
      return admission_forbidden(
          request,
          fmt::format(
              "pod does not have \"{}\" annotation, node \"{}\" can only create mirror pods",
              kMirror, node));
    }
    if (pod["spec"]["nodeName"].as_string() != node) {
      return admission_forbidden(
          request,
          fmt::format("node \"{}\" can only create pods with spec.nodeName set to itself", node));
    }
    return {};
  }
};

}  // namespace

std::unique_ptr<AdmissionPlugin> make_node_restriction() {
  return std::make_unique<NodeRestriction>();
}

}  // namespace knarr::server
