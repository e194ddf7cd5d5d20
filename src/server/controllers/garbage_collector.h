// Deletes what nobody owns any more, and finishes foreground and orphaning deletions.
//
// An object whose owners are all gone is deleted in the background. An owner that is deleted with
// finalizer "foregroundDeletion" first has its dependents deleted, and goes when none is left that
// blocks it; one with finalizer "orphan" first has itself taken from its dependents' owners.
// An owner exists when an object of that uid is in the cache: the cache is complete, so absence is
// proof, except for kinds the server does not know, whose references are left alone.
//
// A queue key holds an ObjectKey: {"<group>\n<resource>\n<namespace>", name}.
#pragma once

#include <string>
#include <vector>

#include "server/controllers/controller.h"
#include "server/controllers/namespace.h"

namespace knarr::server {

class GarbageCollector final : public Controller {
 public:
  GarbageCollector(const ControllerContext& context, Discover discover);
  std::vector<GroupResource> watches() const override;
  void on_change(const GroupResource& resource, const ObjectRef& previous,
                 const ObjectRef& object) override;
  void reconcile(const NamespacedName& key, const PassRef& pass) override;

 private:
  struct Item {
    GroupResource resource;
    ObjectRef object;
  };
  enum class Presence { kAbsent, kHere, kUnknown };

  void want(const GroupResource& resource, const NamespacedName& name);
  const DeletableResource* find(const GroupResource& resource);
  Presence presence(const OwnerRef& owner, const std::string& ns, ObjectRef* found);
  void collect(const PassRef& pass, const ObjectKey& key, const ObjectRef& object);
  void unblock(const PassRef& pass, const ObjectKey& key, const ObjectRef& object);
  void foreground(const PassRef& pass, const ObjectKey& key, const ObjectRef& object);
  void orphan(const PassRef& pass, const ObjectKey& key, const ObjectRef& object);
  void drop_finalizer(const PassRef& pass, const ObjectKey& key, const ObjectRef& object,
                      const char* finalizer);
  void remove(const PassRef& pass, const ObjectKey& key, const ObjectRef& object,
              const char* propagation);
  client::Target target(const ObjectKey& key);

  Discover discover_;
  std::vector<DeletableResource> known_;
};

}  // namespace knarr::server
