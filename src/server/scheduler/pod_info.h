// A pod as the scheduler sees it: compiled once when it appears, immutable, shared by the queue and
// the node it lands on.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "api/view/label_match.h"
#include "api/view/placement.h"
#include "api/view/pod.h"
#include "server/scheduler/resources.h"

namespace knarr::server {

struct HostPort {
  std::string ip;  // "0.0.0.0" when unset
  std::string protocol;
  int64_t port = 0;
  bool conflicts(const HostPort& other) const {
    return port == other.port && protocol == other.protocol &&
           (ip == other.ip || ip == "0.0.0.0" || other.ip == "0.0.0.0");
  }
};

// A PodAffinityTerm. `namespaces` holds the pod's own when the term names none.
struct PodTerm {
  api::LabelMatch selector;
  std::vector<std::string> namespaces;
  bool has_namespace_selector = false;
  api::LabelMatch namespace_selector;
  std::string topology_key;
  int64_t weight = 0;
};

struct SpreadConstraint {
  std::string topology_key;
  int64_t max_skew = 1;
  int64_t min_domains = 1;
  bool hard = true;  // DoNotSchedule
  api::LabelMatch selector;
  bool honor_affinity = true;
  bool honor_taints = false;
};

struct PodClaim {
  std::string name;        // of a PersistentVolumeClaim
  bool ephemeral = false;  // made for this pod
};

struct PreferredNode {
  api::NodeTerm term;
  int64_t weight;
};

struct PodInfo {
  explicit PodInfo(const ObjectRef& object);

  const std::string& uid() const { return object->uid; }
  const std::string& ns() const { return object->name.ns; }
  const api::Labels& labels() const { return object->labels; }

  ObjectRef object;
  std::string node;  // spec.nodeName
  std::string nominated_node;
  std::string scheduler_name;
  int64_t priority = 0;
  bool never_preempts = false;
  bool terminal = false;
  bool gated = false;
  int64_t created_at = 0;
  int64_t started_at = 0;
  int64_t generation = 0;

  Amounts requests;
  Amounts floored;  // for scores
  std::vector<HostPort> ports;
  api::NodeRequirement node_requirement;
  std::vector<std::string> only_nodes;  // named by matchFields in every term; empty: any
  bool names_nodes = false;
  std::vector<PreferredNode> preferred_nodes;
  std::vector<api::Toleration> tolerations;
  std::vector<PodTerm> affinity, anti_affinity;
  std::vector<PodTerm> preferred_affinity, preferred_anti_affinity;
  std::vector<SpreadConstraint> spread;
  std::vector<PodClaim> claims;
  std::vector<std::string> images;
};

using PodInfoRef = std::shared_ptr<const PodInfo>;

}  // namespace knarr::server
