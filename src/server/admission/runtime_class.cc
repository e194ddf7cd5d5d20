// RuntimeClass: a pod of a runtime class carries the class's overhead and its scheduling rules.

#include "base/format.h"
#include "server/admission/plugins.h"

namespace knarr::server {
namespace {

class RuntimeClass final : public AdmissionPlugin {
 public:
  explicit RuntimeClass(const Cache& cache) : cache_(cache) {}
  std::string_view name() const override { return "RuntimeClass"; }

  Result<void> mutate(AdmissionRequest& request) override {
    if (request.operation != Operation::kCreate || !request.is("", "pods") ||
        !request.subresource.empty()) {
      return {};
    }
    json::Value& spec = request.object->member("spec");
    std::string name = spec["runtimeClassName"].text();
    if (name.empty()) return {};
    ObjectRef found = cache_.get({{"node.k8s.io", "runtimeclasses"}, {"", name}});
    if (found == nullptr) {
      return admission_forbidden(request,
                                 fmt::format("pod rejected: RuntimeClass \"{}\" not found", name));
    }
    json::Value rc;
    TRY_ASSIGN(rc, json::parse(found->json));
    const json::Value& overhead = rc["overhead"]["podFixed"];
    if (!overhead.empty()) {
      if (!spec["overhead"].is_null() && !(spec["overhead"] == overhead)) {
        return admission_forbidden(
            request, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead");
      }
      spec.set("overhead", overhead);
    }
    return add_scheduling(request, spec, rc["scheduling"]);
  }

  // The overhead is the class's to set.
  Result<void> validate(const AdmissionRequest& request) override {
    if (request.operation != Operation::kCreate || !request.is("", "pods") ||
        !request.subresource.empty()) {
      return {};
    }
    const json::Value& spec = (*request.object)["spec"];
    if (spec["overhead"].empty()) return {};
    ObjectRef found =
        cache_.get({{"node.k8s.io", "runtimeclasses"}, {"", spec["runtimeClassName"].text()}});
    if (found != nullptr) {
      json::Value rc;
      TRY_ASSIGN(rc, json::parse(found->json));
      if (!rc["overhead"].is_null()) return {};
    }
    return admission_forbidden(
        request,
        "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead");
  }

 private:
  static Result<void> add_scheduling(const AdmissionRequest& request, json::Value& spec,
                                     const json::Value& scheduling) {
    for (json::Member m : scheduling["nodeSelector"].members()) {
      const json::Value& have = spec["nodeSelector"][m.key];
      if (!have.is_null() && !(have == m.value)) {
        return admission_forbidden(
            request, fmt::format("conflict: runtimeClass.scheduling.nodeSelector[{}] = {}; "
                                 "pod.spec.nodeSelector[{}] = {}",
                                 m.key, m.value.as_string(), m.key, have.as_string()));
      }
      spec.member("nodeSelector").set(m.key, m.value);
    }
    for (const json::Value& t : scheduling["tolerations"].elements()) {
      bool have = false;
      for (const json::Value& mine : spec["tolerations"].elements()) have = have || mine == t;
      if (!have) spec.member("tolerations").push_back(t);
    }
    return {};
  }

  const Cache& cache_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> make_runtime_class(const AdmissionDeps& deps) {
  return std::make_unique<RuntimeClass>(deps.cache);
}

}  // namespace knarr::server
