// ControllerRevisions: what the template of a StatefulSet or DaemonSet was, so that it can be gone
// back to. The data is a strategic merge patch that replaces the template.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/controllers/claim.h"

namespace knarr::server {

struct Revision {
  ObjectRef object;
  json::Value value;
  std::string name;
  int64_t number = 0;
  const json::Value& pod_template() const { return value["data"]["spec"]["template"]; }
};

// Sorted by number, then creation, then name.
std::vector<Revision> decode_revisions(const std::vector<ObjectRef>& objects);

// The data for this template.
json::Value revision_data(const json::Value& pod_template);

struct RevisionStyle {
  const char* hash_label;  // controller.kubernetes.io/hash, or controller-revision-hash
};

struct CurrentRevision {
  const Revision* found = nullptr;  // null: a write is under way that will bring the key back
  int64_t collisions = 0;
};

// The revision whose data is the owner's template: found, renumbered to be the newest, or made. A
// name taken by other data raises status.collisionCount of the owner.
CurrentRevision sync_revision(const ControllerContext& context, const PassRef& pass,
                              const ResourceName& owner_resource, const json::Value& owner,
                              const std::vector<Revision>& revisions, RevisionStyle style);

// Deletes the oldest revisions beyond the owner's limit that no pod and no status needs.
void truncate_revisions(const PassRef& pass, const json::Value& owner,
                        const std::vector<Revision>& revisions,
                        const std::vector<std::string>& live_names);

// The template of a revision, without the patch directive.
json::Value template_of(const Revision& revision);

}  // namespace knarr::server
