// DefaultStorageClass and DefaultIngressClass: claims and ingresses that name no class get the one
// that is marked as the default; of several the newest, then the first by name.

#include <optional>

#include "server/admission/plugins.h"

namespace knarr::server {
namespace {

std::optional<std::string> default_of(const Cache& cache, const GroupResource& resource,
                                      std::initializer_list<const char*> marks) {
  std::optional<std::string> best;
  std::string best_time;
  cache.for_each(resource, "", [&](const ObjectRef& object) {
    if (object->json.find("is-default-class") == std::string::npos) return true;
    Result<json::Value> value = json::parse(object->json);
    if (!value.ok()) return true;
    const json::Value& meta = (*value)["metadata"];
    bool marked = false;
    for (const char* mark : marks) {
      marked = marked || meta["annotations"][mark].as_string() == "true";
    }
    std::string time = meta["creationTimestamp"].text();
    if (marked && (!best || time > best_time)) {
      best = object->name.name;
      best_time = time;
    }
    return true;
  });
  return best;
}

class DefaultStorageClass final : public AdmissionPlugin {
 public:
  explicit DefaultStorageClass(const Cache& cache) : cache_(cache) {}
  std::string_view name() const override { return "DefaultStorageClass"; }

  Result<void> mutate(AdmissionRequest& request) override {
    if (request.operation != Operation::kCreate || !request.is("", "persistentvolumeclaims") ||
        !request.subresource.empty()) {
      return {};
    }
    json::Value& pvc = *request.object;
    if (pvc["spec"].has("storageClassName") ||
        pvc["metadata"]["annotations"].has("volume.beta.kubernetes.io/storage-class")) {
      return {};
    }
    auto found = default_of(cache_, {"storage.k8s.io", "storageclasses"},
                            {"storageclass.kubernetes.io/is-default-class",
                             "storageclass.beta.kubernetes.io/is-default-class"});
    if (found) pvc.member("spec").set("storageClassName", *found);
    return {};
  }

 private:
  const Cache& cache_;
};

class DefaultIngressClass final : public AdmissionPlugin {
 public:
  explicit DefaultIngressClass(const Cache& cache) : cache_(cache) {}
  std::string_view name() const override { return "DefaultIngressClass"; }

  Result<void> mutate(AdmissionRequest& request) override {
    if (request.operation != Operation::kCreate || !request.is("networking.k8s.io", "ingresses") ||
        !request.subresource.empty()) {
      return {};
    }
    json::Value& ingress = *request.object;
    if (ingress["spec"].has("ingressClassName") ||
        ingress["metadata"]["annotations"].has("kubernetes.io/ingress.class")) {
      return {};
    }
    auto found = default_of(cache_, {"networking.k8s.io", "ingressclasses"},
                            {"ingressclass.kubernetes.io/is-default-class"});
    if (found) ingress.member("spec").set("ingressClassName", *found);
    return {};
  }

 private:
  const Cache& cache_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> make_default_storage_class(const AdmissionDeps& deps) {
  return std::make_unique<DefaultStorageClass>(deps.cache);
}

std::unique_ptr<AdmissionPlugin> make_default_ingress_class(const AdmissionDeps& deps) {
  return std::make_unique<DefaultIngressClass>(deps.cache);
}

}  // namespace knarr::server
