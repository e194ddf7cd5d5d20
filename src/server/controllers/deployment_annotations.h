// The annotations by which a Deployment and its ReplicaSets remember revisions and sizes, and the
// tests that read them. Pure.
#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "server/controllers/rollout.h"

namespace knarr::server {

inline constexpr const char* kRevision = "deployment.kubernetes.io/revision";
inline constexpr const char* kRevisionHistory = "deployment.kubernetes.io/revision-history";
inline constexpr const char* kDesiredReplicas = "deployment.kubernetes.io/desired-replicas";
inline constexpr const char* kMaxReplicas = "deployment.kubernetes.io/max-replicas";
inline constexpr const char* kTemplateHash = "pod-template-hash";

std::optional<int64_t> number_annotation(const json::Value& object, const char* key);

// True when it changed something.
bool set_replicas_annotations(json::Value& set, const RolloutSpec& spec);

// Copies the Deployment's annotations (apart from those with a meaning of their own) and raises the
// set's revision, keeping the one it had in its history. True when it changed something.
bool set_revision_annotations(json::Value& set, const json::Value& deployment, int64_t revision);

// Equal but for the hash label.
bool same_template(const json::Value& deployment_template, const json::Value& set_template);

// progressDeadlineSeconds is set, and not the largest number, which means "never".
bool has_progress_deadline(const json::Value& deployment);

// All replicas updated and available, and the generation seen.
bool is_complete(const json::Value& deployment, const json::Value& status);

}  // namespace knarr::server
