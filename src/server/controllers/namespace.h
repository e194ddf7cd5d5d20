// Small controllers of namespaces: emptying one that is to go, and what every one must hold.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "server/controllers/controller.h"

namespace knarr::server {

// A resource whose objects live in namespaces and can be deleted, with the version to do it in.
struct DeletableResource {
  std::string group;
  std::string version;
  std::string plural;
  bool namespaced = true;
  std::string kind;
};
// All there are now, custom ones too.
using Discover = std::function<std::vector<DeletableResource>()>;

// The built-in ones.
std::vector<DeletableResource> builtin_deletable();

// Deletes the content of a terminating namespace (pods after everything else has been asked for),
// tells in conditions what is left, and takes the finalizer "kubernetes" when nothing is.
class NamespaceController final : public Controller {
 public:
  NamespaceController(const ControllerContext& context, Discover discover);
  std::vector<GroupResource> watches() const override { return {kNamespaces.key()}; }
  void on_change(const GroupResource& resource, const ObjectRef& previous,
                 const ObjectRef& object) override;
  void reconcile(const NamespacedName& key, const PassRef& pass) override;

 private:
  struct Left;
  void finalize(const PassRef& pass, const ObjectRef& object);
  void tell(const PassRef& pass, const ObjectRef& object, const Left& left);
  Discover discover_;
};

// A ServiceAccount "default" in every namespace.
class ServiceAccountController final : public Controller {
 public:
  explicit ServiceAccountController(const ControllerContext& context);
  std::vector<GroupResource> watches() const override;
  void on_change(const GroupResource& resource, const ObjectRef& previous,
                 const ObjectRef& object) override;
  void reconcile(const NamespacedName& key, const PassRef& pass) override;
};

// The ConfigMap kube-root-ca.crt, kept as it should be, in every namespace.
class RootCaController final : public Controller {
 public:
  RootCaController(const ControllerContext& context, std::string ca_pem);
  std::vector<GroupResource> watches() const override;
  void on_change(const GroupResource& resource, const ObjectRef& previous,
                 const ObjectRef& object) override;
  void reconcile(const NamespacedName& key, const PassRef& pass) override;

 private:
  std::string ca_pem_;
};

}  // namespace knarr::server
