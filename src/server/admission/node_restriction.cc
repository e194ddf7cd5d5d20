// NodeRestriction, as far as it looks at what a node creates: its own Node, and mirror pods bound
// to itself. What a node may change and delete, the node authorizer knows without the body.

#include "base/format.h"
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
    if (node == nullptr || request.operation != Operation::kCreate ||
        !request.subresource.empty()) {
      return {};
    }
    if (request.is("", "nodes") && request.name != node) {
      return admission_forbidden(
          request,
          fmt::format("node \"{}\" is not allowed to modify node \"{}\"", node, request.name));
    }
    if (request.is("", "pods")) return check_pod(request, node);
    return {};
  }

 private:
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
