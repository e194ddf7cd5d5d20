// PersistentVolumes and the claims they may satisfy: the rules that the volume controller (which
// binds) and the scheduler (which chooses a node for a pod with unbound claims) share. Pure
// functions of the two objects.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "api/view/label_match.h"
#include "base/json.h"
#include "knarr/object.h"

namespace knarr::api {

inline constexpr const char* kBindCompleted = "pv.kubernetes.io/bind-completed";
inline constexpr const char* kBoundByController = "pv.kubernetes.io/bound-by-controller";
inline constexpr const char* kSelectedNode = "volume.kubernetes.io/selected-node";

// The class of a volume or a claim: the old annotation, if it is there, else spec.storageClassName.
std::string storage_class_of(const json::Value& object);

// The volume's claimRef names this claim, and no other one of the same name.
bool is_bound_to(const json::Value& volume, const json::Value& claim);
// Why the volume can't be the one that the claim asks for by name; empty: it can.
std::string claim_mismatch(const json::Value& volume, const json::Value& claim);
bool volume_modes_differ(const json::Value& volume, const json::Value& claim);
bool has_access_modes(const json::Value& volume, const json::Value& claim);

// Gives the volume this claimRef, and marks that it was not its maker who did. False: nothing to
// change.
bool refer_to_claim(json::Value& volume, const json::Value& claim);

struct VolumeChoice {
  // Only volumes that can be used on this node; null: on any.
  const Labels* node_labels = nullptr;
  std::string node_name;
  // A claim whose binding waits for its first consumer: only volumes reserved for it.
  bool delayed = false;
  std::function<bool(const std::string& name)> taken;  // null: none is
};
// The smallest volume that the claim may be bound to; one that is reserved for it before all
// others. Empty: none.
std::string find_volume(const std::vector<json::Value>& volumes, const json::Value& claim,
                        const VolumeChoice& choice);

// A pod's volume of type `ephemeral` has a claim of its own: its name, and whether a claim of that
// name is indeed the pod's.
std::string ephemeral_claim_name(const std::string& pod, const json::Value& volume);
bool is_claim_of_pod(const Object& claim, const std::string& pod_uid);

}  // namespace knarr::api
