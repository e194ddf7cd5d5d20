// Who owns what: a controller keeps what it controls and selects, adopts what it selects and nobody
// controls, releases what it controls and no longer selects.
//
// Adopting and releasing are patches; a pass that makes one should end with it, as the change
// brings the key back with a settled picture.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "api/view/label_match.h"
#include "server/controllers/controller.h"

namespace knarr::server {

enum class Claim { kKeep, kAdopt, kRelease, kIgnore };

// `owner_deleting`: such an owner takes nothing and lets nothing go.
Claim claim_of(const Object& object, const std::string& owner_uid, bool owner_deleting,
               bool selected);

struct Claimed {
  std::vector<ObjectRef> objects;  // what the owner controls (and selects)
  bool changing = false;           // patches are on their way: end the pass
};

// Claims among the objects of a resource in the owner's namespace. `may_adopt` null: all.
Claimed claim_objects(const ControllerContext& context, const PassRef& pass,
                      const ResourceName& resource, const json::Value& owner,
                      const api::LabelMatch& selector,
                      const std::function<bool(const Object&)>& may_adopt = nullptr,
                      const char* adopt_finalizer = nullptr);

// What the owner controls, selected or not; no writes.
std::vector<ObjectRef> controlled_objects(const ControllerContext& context,
                                          const ResourceName& resource,
                                          const std::string& owner_uid);

}  // namespace knarr::server
