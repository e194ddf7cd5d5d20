// NamespaceLifecycle: nothing is made in a namespace that is missing or going away, and the
// namespaces a cluster stands on are not deleted.

#include "base/format.h"
#include "server/admission/plugins.h"
#include "server/status/errors.h"

namespace knarr::server {
namespace {

class NamespaceLifecycle final : public AdmissionPlugin {
 public:
  explicit NamespaceLifecycle(const Cache& cache) : cache_(cache) {}
  std::string_view name() const override { return "NamespaceLifecycle"; }

  Result<void> mutate(AdmissionRequest& request) override {
    if (request.is("", "namespaces")) {
      bool immortal = request.name == "default" || request.name == "kube-system" ||
                      request.name == "kube-public";
      if (request.operation == Operation::kDelete && immortal) {
        return admission_forbidden(request, "this namespace may not be deleted");
      }
      return {};
    }
    if (!request.resource->namespaced || request.ns.empty()) return {};
    if (request.operation == Operation::kDelete) return {};
    if (request.is("authorization.k8s.io", "localsubjectaccessreviews")) return {};

    ObjectRef ns = cache_.get({{"", "namespaces"}, {"", request.ns}});
    if (ns == nullptr) return not_found("", "namespaces", request.ns);
    if (request.operation != Operation::kCreate || !ns->deleting) return {};
    Error error = admission_forbidden(
        request,
        fmt::format("unable to create new content in namespace {} because it is being terminated",
                    request.ns));
    auto details = std::make_shared<ErrorDetails>(*error.details);
    details->causes.push_back({"NamespaceTerminating",
                               fmt::format("namespace {} is being terminated", request.ns),
                               "metadata.namespace"});
    error.details = std::move(details);
    return error;
  }

 private:
  const Cache& cache_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> make_namespace_lifecycle(const AdmissionDeps& deps) {
  return std::make_unique<NamespaceLifecycle>(deps.cache);
}

}  // namespace knarr::server
