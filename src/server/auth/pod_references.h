// What a pod, as stored, refers to: the objects its node must read to run it. Pure.
#pragma once

#include <functional>
#include <string_view>

#include "base/json.h"

namespace knarr::server {

enum class Reference {
  kServiceAccount,
  kSecret,
  kConfigMap,
  kTrustBundle,
  kClaim,     // of a PersistentVolumeClaim, by its name
  kOwnClaim,  // of the one that is made for an ephemeral volume
  kResourceClaim,
};

// Whatever the pod names, of each kind; a name may be empty, and come more than once.
void for_each_reference(const json::Value& pod,
                        const std::function<void(Reference, std::string_view name)>& fn);

// Mirror pods refer to nothing: a node could make them to read what it likes.
bool refers_to(const json::Value& pod, Reference kind, std::string_view name);

// Whether mounting a bound PersistentVolume takes this secret.
bool volume_refers_to_secret(const json::Value& volume, std::string_view ns, std::string_view name);

}  // namespace knarr::server
