// Pods that want to be near other pods, or away from them, by topology. Required anti-affinity of
// pods that are placed binds the newcomer too.
#include <algorithm>
#include <map>

#include "server/scheduler/plugins/all.h"

namespace knarr::server {

namespace {

constexpr const char* kName = "InterPodAffinity";

using TopologyCounts = std::map<std::pair<std::string, std::string>, int64_t>;

struct Prepared {
  TopologyCounts existing_anti;  // where a placed pod's anti-affinity forbids this pod
  TopologyCounts affinity;       // where pods are that match all of this pod's affinity
  TopologyCounts anti_affinity;
};

bool term_matches(const PodTerm& term, const PodInfo& pod, const Cache& cache) {
  bool in =
      std::find(term.namespaces.begin(), term.namespaces.end(), pod.ns()) != term.namespaces.end();
  if (!in && term.has_namespace_selector) {
    ObjectRef ns = cache.get({{"", "namespaces"}, {"", pod.ns()}});
    in = ns != nullptr && term.namespace_selector.matches(*ns);
  }
  return in && term.selector.matches(pod.labels());
}

bool matches_all(const std::vector<PodTerm>& terms, const PodInfo& pod, const Cache& cache) {
  return std::all_of(terms.begin(), terms.end(),
                     [&](const PodTerm& t) { return term_matches(t, pod, cache); });
}

void count(TopologyCounts& counts, const PodTerm& term, const NodeInfo& node, int64_t n) {
  if (const std::string* value = node.label(term.topology_key)) {
    counts[{term.topology_key, *value}] += n;
  }
}

Verdict prepare(Cycle& cycle) {
  const PodInfo& pod = cycle.pod;
  if (pod.affinity.empty() && pod.anti_affinity.empty() && cycle.table.with_anti_affinity() == 0) {
    return {};
  }
  Prepared p;
  for (const NodeInfo* node : cycle.table.nodes()) {
    for (const PodInfoRef& other : node->pods) {
      for (const PodTerm& t : other->anti_affinity) {
        if (term_matches(t, pod, cycle.cache)) count(p.existing_anti, t, *node, 1);
      }
      if (!pod.affinity.empty() && matches_all(pod.affinity, *other, cycle.cache)) {
        for (const PodTerm& t : pod.affinity) count(p.affinity, t, *node, 1);
      }
      for (const PodTerm& t : pod.anti_affinity) {
        if (term_matches(t, *other, cycle.cache)) count(p.anti_affinity, t, *node, 1);
      }
    }
  }
  cycle.prepared[kName] = std::move(p);
  return {};
}

Verdict filter(Cycle& cycle, const NodeInfo& node) {
  const auto* p = prepared<Prepared>(cycle, kName);
  if (p == nullptr) return {};
  bool all_there = true;
  for (const PodTerm& t : cycle.pod.affinity) {
    const std::string* value = node.label(t.topology_key);
    if (value == nullptr) return Verdict::never("node(s) didn't match pod affinity rules");
    auto found = p->affinity.find({t.topology_key, *value});
    all_there &= found != p->affinity.end() && found->second > 0;
  }
  // The first pod of a group that wants to be near itself may go anywhere.
  bool first_of_group =
      p->affinity.empty() && matches_all(cycle.pod.affinity, cycle.pod, cycle.cache);
  if (!all_there && !first_of_group) {
    return Verdict::never("node(s) didn't match pod affinity rules");
  }
  for (const PodTerm& t : cycle.pod.anti_affinity) {
    const std::string* value = node.label(t.topology_key);
    if (value == nullptr) continue;
    auto found = p->anti_affinity.find({t.topology_key, *value});
    if (found != p->anti_affinity.end() && found->second > 0) {
      return Verdict::no("node(s) didn't match pod anti-affinity rules");
    }
  }
  for (const auto& [where, n] : p->existing_anti) {
    const std::string* value = node.label(where.first);
    if (n > 0 && value != nullptr && *value == where.second) {
      return Verdict::no("node(s) didn't satisfy existing pods anti-affinity rules");
    }
  }
  return {};
}

bool score(Cycle& cycle, const std::vector<NodeInfo*>& nodes, std::vector<int64_t>& scores) {
  const PodInfo& pod = cycle.pod;
  bool wants = !pod.preferred_affinity.empty() || !pod.preferred_anti_affinity.empty();
  if (!wants && cycle.table.with_affinity() == 0) return false;
  TopologyCounts counts;
  for (const NodeInfo* node : cycle.table.nodes()) {
    if (!wants && node->with_affinity == 0) continue;
    for (const PodInfoRef& other : node->pods) {
      for (const PodTerm& t : pod.preferred_affinity) {
        if (term_matches(t, *other, cycle.cache)) count(counts, t, *node, t.weight);
      }
      for (const PodTerm& t : pod.preferred_anti_affinity) {
        if (term_matches(t, *other, cycle.cache)) count(counts, t, *node, -t.weight);
      }
      // A placed pod's wishes count for the newcomer; its required affinity with weight 1.
      for (const PodTerm& t : other->affinity) {
        if (term_matches(t, pod, cycle.cache)) count(counts, t, *node, 1);
      }
      for (const PodTerm& t : other->preferred_affinity) {
        if (term_matches(t, pod, cycle.cache)) count(counts, t, *node, t.weight);
      }
      for (const PodTerm& t : other->preferred_anti_affinity) {
        if (term_matches(t, pod, cycle.cache)) count(counts, t, *node, -t.weight);
      }
    }
  }
  if (counts.empty()) return false;
  for (size_t i = 0; i < nodes.size(); ++i) {
    for (const auto& [where, n] : counts) {
      const std::string* value = nodes[i]->label(where.first);
      if (value != nullptr && *value == where.second) scores[i] += n;
    }
  }
  auto [low, high] = std::minmax_element(scores.begin(), scores.end());
  int64_t least = *low, spread = *high - *low;
  for (int64_t& s : scores) s = spread == 0 ? 0 : 100 * (s - least) / spread;
  return true;
}

}  // namespace

Plugin inter_pod_affinity_plugin() { return spreading_plugin(kName, prepare, filter, score); }

}  // namespace knarr::server
