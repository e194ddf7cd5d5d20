// The provisioner of local volumes: directories of the node that the scheduler chose for a claim's
// first pod. Nothing is made here but the PersistentVolume; its directory is the node's to make,
// when the first pod is there, and to remove.
//
//   claim with a selected node -> PersistentVolume, reserved for it, with affinity to that node
//   volume Released, policy Delete -> deleted; its finalizer keeps the object until the node has
//     removed the directory (agent/local_storage.h)
//   volume being deleted that is to be kept, or whose node has been missing for five minutes ->
//     the finalizer goes here. A node that is deleted and joins again within these finds its
//     volumes, and removes their directories; what comes back later keeps them
//
// Also makes the default StorageClass at each start, unless one of its name is there: what users
// change of it stays, and where another class is the default, it is made without being one.
//
// Where nothing is to be provisioned, there is no class and no claim is looked at; volumes that
// were made before go as ever.
//
// One queue for both kinds: a key without namespace is a volume's. Loop thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "server/controllers/controller.h"

namespace knarr::server {

// Why no directory can be what the claim asks for, in an event's words; empty: one can.
std::string local_storage_objection(const json::Value& claim, const json::Value& storage_class);

// The volume for the claim on this node, which has a folder for it. Pure.
json::Value local_volume(const json::Value& claim, const json::Value& storage_class,
                         const json::Value& node);

class LocalStorageController final : public Controller {
 public:
  LocalStorageController(const ControllerContext& context, bool provisions);
  std::vector<GroupResource> watches() const override;
  void on_change(const GroupResource& resource, const ObjectRef& previous,
                 const ObjectRef& object) override;
  void reconcile(const NamespacedName& key, const PassRef& pass) override;
  void on_started() override;

 private:
  void enqueue_claims();
  void provision(const PassRef& pass, const json::Value& claim);
  void schedule_again(const PassRef& pass, const json::Value& claim);
  void reclaim(const PassRef& pass, const json::Value& volume);

  // How long yet the node may join again.
  int64_t grace_left_ms(const std::string& node);

  bool provisions_;
  std::map<std::string, int64_t> missing_since_;  // by node, monotonic ms
  bool started_ = false;                          // every claim has been told
};

}  // namespace knarr::server
