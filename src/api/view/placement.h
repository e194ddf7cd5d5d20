// Where a pod may go, as its spec says: node selectors and affinity, taints and tolerations.
// Compiled once from a pod spec; asked of nodes by scheduler, DaemonSets and node life cycle.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/view/label_match.h"

namespace knarr::api {

struct Taint {
  std::string key;
  std::string value;
  std::string effect;  // NoSchedule, PreferNoSchedule, NoExecute
  bool operator==(const Taint&) const = default;
};

struct Toleration {
  std::string key;  // empty with Exists: every key
  std::string value;
  std::string effect;  // empty: every effect
  bool exists = false;
  bool never = false;  // an operator that is not understood
  int compare = 0;     // Gt: 1, Lt: -1
  std::optional<int64_t> seconds;

  bool tolerates(const Taint& taint) const;
};

std::vector<Taint> taints_of(const json::Value& node);
std::vector<Toleration> tolerations_of(const json::Value& pod_spec);
bool tolerated(const std::vector<Toleration>& tolerations, const Taint& taint);
// The first taint with one of NoSchedule and NoExecute that nothing tolerates; null: none.
const Taint* untolerated(const std::vector<Toleration>& tolerations,
                         const std::vector<Taint>& taints);

// One nodeSelectorTerm. An empty one matches nothing.
class NodeTerm {
 public:
  explicit NodeTerm(const json::Value& term);
  bool matches(const std::string& node_name, const Labels& labels) const;

 private:
  LabelMatch labels_;
  LabelMatch fields_;  // of metadata.name
  bool empty_;
};

// spec.nodeSelector and the required node affinity.
class NodeRequirement {
 public:
  NodeRequirement() = default;
  explicit NodeRequirement(const json::Value& pod_spec);
  // A PersistentVolume's spec.nodeAffinity.required.
  static NodeRequirement of_selector(const json::Value& node_selector);
  bool matches(const std::string& node_name, const Labels& labels) const;

 private:
  LabelMatch selector_;
  bool has_terms_ = false;
  std::vector<NodeTerm> terms_;  // any of them
};

}  // namespace knarr::api
