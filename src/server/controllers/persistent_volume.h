// Binds PersistentVolumes and claims to each other, and looks after volumes whose claim has gone.
//
// A binding is two pointers: the volume's spec.claimRef, written first, and the claim's
// spec.volumeName; then the two phases. Every state in between is one that a later pass goes on
// from, whoever made it: a user may have reserved the volume (claimRef without uid) or asked for it
// (volumeName), and the scheduler sets claimRef, or asks for provisioning, when a claim waits for
// its first consumer. Volumes are made and deleted by provisioners outside; this one tells them
// what to do.
//
// One queue for both kinds, one key at a time: a volume is never given away twice. A key without
// namespace is a volume's. Loop thread.
#pragma once

#include <string>
#include <vector>

#include "server/controllers/controller.h"

namespace knarr::server {

class VolumeController final : public Controller {
 public:
  explicit VolumeController(const ControllerContext& context);
  std::vector<GroupResource> watches() const override;
  void on_change(const GroupResource& resource, const ObjectRef& previous,
                 const ObjectRef& object) override;
  void reconcile(const NamespacedName& key, const PassRef& pass) override;

 private:
  using Next = std::function<void(const json::Value& stored)>;

  // Claims.
  void sync_unbound(const PassRef& pass, const json::Value& claim);
  void sync_bound(const PassRef& pass, const json::Value& claim);
  void find_and_bind(const PassRef& pass, const json::Value& claim);
  void ask_for_provisioning(const PassRef& pass, const json::Value& claim);
  void bind(const PassRef& pass, const json::Value& volume, const json::Value& claim);
  void bind_claim(const PassRef& pass, const json::Value& volume, const json::Value& claim);
  // `volume` null: the claim has none.
  void set_claim_phase(const PassRef& pass, const json::Value& claim, const char* phase,
                       const json::Value* volume);
  void lose(const PassRef& pass, const json::Value& claim, const char* reason, const char* message);
  bool waits_for_consumer(const json::Value& claim) const;
  std::string unscheduled_consumers(const json::Value& claim) const;

  // Volumes.
  void sync_volume(const PassRef& pass, const json::Value& volume);
  void reclaim(const PassRef& pass, const json::Value& volume);
  void unbind(const PassRef& pass, const json::Value& volume);
  void set_volume_phase(const PassRef& pass, const json::Value& volume, const char* phase,
                        const std::string& message = {}, Next then = nullptr);
  void fail_volume(const PassRef& pass, const json::Value& volume, const char* reason,
                   const std::string& message);

  // Writes the object; `then` gets it as stored. A refusal fails the pass.
  void store(const PassRef& pass, client::Request request, Next then);
};

}  // namespace knarr::server
