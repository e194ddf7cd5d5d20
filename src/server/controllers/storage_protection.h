// Volumes, claims and volume attributes classes that are in use don't go: each has a finalizer,
// taken when it is deleted and nothing uses it any more. (Admission gives it at creation; what was
// made without gets it here.) One instance a kind.
#pragma once

#include <vector>

#include "server/controllers/controller.h"

namespace knarr::server {

struct ProtectionRule {
  ResourceName resource;
  const char* finalizer;
  const char* component;
  std::vector<GroupResource> users;  // whose changes may free an object
  bool (*in_use)(const ControllerContext& context, const ObjectRef& object);
};

ProtectionRule claim_protection();
ProtectionRule volume_protection();
ProtectionRule attributes_class_protection();

class ProtectionController final : public Controller {
 public:
  ProtectionController(const ControllerContext& context, ProtectionRule rule);
  std::vector<GroupResource> watches() const override;
  void on_change(const GroupResource& resource, const ObjectRef& previous,
                 const ObjectRef& object) override;
  void reconcile(const NamespacedName& key, const PassRef& pass) override;

 private:
  ProtectionRule rule_;
};

}  // namespace knarr::server
