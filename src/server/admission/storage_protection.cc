// StorageObjectInUseProtection: volumes, claims and volume attributes classes are born with a
// finalizer, so that none vanishes while something uses it.

#include "server/admission/plugins.h"

namespace knarr::server {
namespace {

class StorageProtection final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "StorageObjectInUseProtection"; }

  Result<void> mutate(AdmissionRequest& request) override {
    if (request.operation != Operation::kCreate || !request.subresource.empty()) return {};
    std::string_view finalizer;
    if (request.is("", "persistentvolumeclaims")) finalizer = "kubernetes.io/pvc-protection";
    if (request.is("", "persistentvolumes")) finalizer = "kubernetes.io/pv-protection";
    if (request.is("storage.k8s.io", "volumeattributesclasses")) {
      finalizer = "kubernetes.io/vac-protection";
    }
    if (finalizer.empty()) return {};
    json::Value& meta = request.object->member("metadata");
    for (const json::Value& f : meta["finalizers"].elements()) {
      if (f.as_string() == finalizer) return {};
    }
    meta.member("finalizers").push_back(finalizer);
    return {};
  }
};

}  // namespace

std::unique_ptr<AdmissionPlugin> make_storage_object_in_use_protection() {
  return std::make_unique<StorageProtection>();
}

}  // namespace knarr::server
