// What a pod's spec asks to be made for it alone: a PersistentVolumeClaim for each ephemeral
// volume, a ResourceClaim for each template that it names. Both are owned by the pod and go with
// it.
#pragma once

#include "server/controllers/controller.h"

namespace knarr::server {

class EphemeralVolumeController final : public Controller {
 public:
  explicit EphemeralVolumeController(const ControllerContext& context);
  std::vector<GroupResource> watches() const override { return {kPods.key(), kClaims.key()}; }
  void on_change(const GroupResource& resource, const ObjectRef& previous,
                 const ObjectRef& object) override;
  void reconcile(const NamespacedName& key, const PassRef& pass) override;
};

class ResourceClaimController final : public Controller {
 public:
  explicit ResourceClaimController(const ControllerContext& context);
  std::vector<GroupResource> watches() const override;
  void on_change(const GroupResource& resource, const ObjectRef& previous,
                 const ObjectRef& object) override;
  void reconcile(const NamespacedName& key, const PassRef& pass) override;

 private:
  void make_claim(const PassRef& pass, const json::Value& pod, const json::Value& wanted);
  void tell_pod(const PassRef& pass, const json::Value& pod);
};

}  // namespace knarr::server
