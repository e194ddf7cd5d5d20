// topologySpreadConstraints: matching pods evenly over zones, hosts and the like; without any, pods
// of a service or workload a little evenly over hosts and zones.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "api/view/meta.h"
#include "server/scheduler/plugins/all.h"

namespace knarr::server {

namespace {

constexpr const char* kName = "PodTopologySpread";

using Counts = std::map<std::string, int64_t>;  // by topology value

struct Prepared {
  std::vector<SpreadConstraint> hard;
  std::vector<Counts> counts;
};

bool counted(const SpreadConstraint& c, const PodInfo& pod, const NodeInfo& node) {
  if (c.honor_affinity && !pod.node_requirement.matches(node.name, node.labels)) return false;
  return !c.honor_taints || api::untolerated(pod.tolerations, node.taints) == nullptr;
}

int64_t matching(const SpreadConstraint& c, const PodInfo& pod, const NodeInfo& node) {
  int64_t n = 0;
  for (const PodInfoRef& other : node.pods) {
    n += !other->object->deleting && other->ns() == pod.ns() && c.selector.matches(other->labels());
  }
  return n;
}

bool has_all_keys(const std::vector<SpreadConstraint>& constraints, const NodeInfo& node) {
  return std::all_of(constraints.begin(), constraints.end(), [&](const SpreadConstraint& c) {
    return node.label(c.topology_key) != nullptr;
  });
}

Verdict prepare(Cycle& cycle) {
  Prepared p;
  for (const SpreadConstraint& c : cycle.pod.spread) {
    if (c.hard) p.hard.push_back(c);
  }
  if (p.hard.empty()) return {};
  p.counts.resize(p.hard.size());
  for (const NodeInfo* node : cycle.table.nodes()) {
    if (!has_all_keys(p.hard, *node)) continue;
    for (size_t i = 0; i < p.hard.size(); ++i) {
      if (!counted(p.hard[i], cycle.pod, *node)) continue;
      p.counts[i][*node->label(p.hard[i].topology_key)] += matching(p.hard[i], cycle.pod, *node);
    }
  }
  cycle.prepared[kName] = std::move(p);
  return {};
}

Verdict filter(Cycle& cycle, const NodeInfo& node) {
  const auto* p = prepared<Prepared>(cycle, kName);
  if (p == nullptr) return {};
  for (size_t i = 0; i < p->hard.size(); ++i) {
    const SpreadConstraint& c = p->hard[i];
    const std::string* value = node.label(c.topology_key);
    if (value == nullptr) {
      return Verdict::never(
          "node(s) didn't match pod topology spread constraints (missing required label)");
    }
    int64_t least = 0;
    if (static_cast<int64_t>(p->counts[i].size()) >= c.min_domains && !p->counts[i].empty()) {
      least = std::min_element(p->counts[i].begin(), p->counts[i].end(),
                               [](const auto& a, const auto& b) { return a.second < b.second; })
                  ->second;
    }
    auto here = p->counts[i].find(*value);
    int64_t n = here != p->counts[i].end() ? here->second : 0;
    n += c.selector.matches(cycle.pod.labels());
    if (n - least > c.max_skew) {
      return Verdict::no("node(s) didn't match pod topology spread constraints");
    }
  }
  return {};
}

// What selects this pod: its services' selectors and its controller's, together.
api::LabelMatch default_selector(const Cycle& cycle) {
  api::LabelMatch match;
  const Object& pod = *cycle.pod.object;
  cycle.cache.for_each({"", "services"}, pod.name.ns, [&](const ObjectRef& service) {
    json::Value value = api::decode(*service);
    const json::Value& selector = value["spec"]["selector"];
    if (!selector.empty() && api::LabelMatch::of_map(selector).matches(pod)) {
      for (auto [key, v] : selector.members()) match.add_equals(std::string(key), v.text());
    }
    return true;
  });
  const OwnerRef* owner = pod.controller();
  if (owner == nullptr) return match;
  const char* plural = owner->kind == "ReplicaSet"              ? "replicasets"
                       : owner->kind == "StatefulSet"           ? "statefulsets"
                       : owner->kind == "ReplicationController" ? "replicationcontrollers"
                                                                : nullptr;
  if (plural == nullptr) return match;
  bool core = owner->kind == "ReplicationController";
  ObjectRef set = cycle.cache.get({{core ? "" : "apps", plural}, {pod.name.ns, owner->name}});
  if (set == nullptr) return match;
  json::Value value = api::decode(*set);
  const json::Value& selector = value["spec"]["selector"];
  for (auto [key, v] : (core ? selector : selector["matchLabels"]).members()) {
    match.add_equals(std::string(key), v.text());
  }
  for (const json::Value& e : selector["matchExpressions"].elements()) match.add_expression(e);
  return match;
}

std::vector<SpreadConstraint> soft_constraints(Cycle& cycle, bool* defaulted) {
  std::vector<SpreadConstraint> soft;
  for (const SpreadConstraint& c : cycle.pod.spread) {
    if (!c.hard) soft.push_back(c);
  }
  *defaulted = cycle.pod.spread.empty();
  if (!*defaulted) return soft;
  api::LabelMatch selector = default_selector(cycle);
  if (selector.empty()) return soft;
  for (auto [key, skew] :
       {std::pair{"kubernetes.io/hostname", 3}, std::pair{"topology.kubernetes.io/zone", 5}}) {
    SpreadConstraint c;
    c.topology_key = key;
    c.max_skew = skew;
    c.hard = false;
    c.selector = selector;
    soft.push_back(std::move(c));
  }
  return soft;
}

bool score(Cycle& cycle, const std::vector<NodeInfo*>& nodes, std::vector<int64_t>& scores) {
  if (nodes.size() < 2) return false;
  bool defaulted = false;
  std::vector<SpreadConstraint> soft = soft_constraints(cycle, &defaulted);
  if (soft.empty()) return false;
  std::vector<Counts> counts(soft.size());
  std::vector<bool> ignored(nodes.size());
  size_t candidates = 0;
  for (size_t i = 0; i < nodes.size(); ++i) {
    ignored[i] = !defaulted && !has_all_keys(soft, *nodes[i]);
    candidates += !ignored[i];
  }
  std::vector<double> weights;
  for (size_t k = 0; k < soft.size(); ++k) {
    std::set<std::string> values;
    for (size_t i = 0; i < nodes.size(); ++i) {
      const std::string* value = nodes[i]->label(soft[k].topology_key);
      if (!ignored[i] && value != nullptr) values.insert(*value);
    }
    bool host = soft[k].topology_key == "kubernetes.io/hostname";
    weights.push_back(std::log(static_cast<double>((host ? candidates : values.size()) + 2)));
    for (const NodeInfo* node : cycle.table.nodes()) {
      const std::string* value = node->label(soft[k].topology_key);
      if (value == nullptr || values.count(*value) == 0) continue;
      if (counted(soft[k], cycle.pod, *node)) {
        counts[k][*value] += matching(soft[k], cycle.pod, *node);
      }
    }
  }
  int64_t least = INT64_MAX, most = 0;
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (ignored[i]) continue;
    double sum = 0;
    for (size_t k = 0; k < soft.size(); ++k) {
      const std::string* value = nodes[i]->label(soft[k].topology_key);
      if (value == nullptr) continue;
      sum += static_cast<double>(counts[k][*value]) * weights[k] +
             static_cast<double>(soft[k].max_skew - 1);
    }
    scores[i] = std::llround(sum);
    least = std::min(least, scores[i]);
    most = std::max(most, scores[i]);
  }
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (ignored[i]) {
      scores[i] = 0;
    } else {
      scores[i] = most == 0 ? 100 : 100 * (most + least - scores[i]) / most;
    }
  }
  return true;
}

}  // namespace

Plugin topology_spread_plugin() { return spreading_plugin(kName, prepare, filter, score); }

}  // namespace knarr::server
