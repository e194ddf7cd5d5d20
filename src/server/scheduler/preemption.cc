#include "server/scheduler/preemption.h"

#include <algorithm>
#include <limits>
#include <tuple>

#include "api/view/meta.h"

namespace knarr::server {

namespace {

struct Budget {
  std::string ns;
  api::LabelMatch selector;
  int64_t allowed;
};

std::vector<Budget> budgets_of(const Cache& cache) {
  std::vector<Budget> budgets;
  cache.for_each({"policy", "poddisruptionbudgets"}, "", [&](const ObjectRef& object) {
    json::Value value = api::decode(*object);
    budgets.push_back({object->name.ns, api::LabelMatch::of_selector(value["spec"]["selector"]),
                       value["status"]["disruptionsAllowed"].as_int()});
    return true;
  });
  return budgets;
}

// True when taking this pod breaks a budget; the budgets count it.
bool breaks_budget(std::vector<Budget>& budgets, const PodInfo& pod) {
  bool breaks = false;
  for (Budget& b : budgets) {
    if (b.ns == pod.ns() && !b.selector.empty() && b.selector.matches(pod.labels())) {
      breaks |= --b.allowed < 0;
    }
  }
  return breaks;
}

struct Victims {
  std::string node;
  std::vector<PodInfoRef> pods;  // most important first
  int64_t broken = 0;

  // Smaller is better.
  auto cost() const {
    int64_t highest = std::numeric_limits<int64_t>::min(), sum = 0;
    int64_t started = std::numeric_limits<int64_t>::max();
    for (const PodInfoRef& p : pods) {
      highest = std::max(highest, p->priority);
      sum += p->priority + std::numeric_limits<int32_t>::max() + 1LL;
    }
    for (const PodInfoRef& p : pods) {
      if (p->priority == highest) started = std::min(started, p->started_at);
    }
    return std::make_tuple(broken, highest, sum, pods.size(), -started);
  }
};

// Takes all lower pods from the node, and if the pod then fits, puts back what it can, the most
// important first. The table is as it was afterwards.
Verdict try_node(Algorithm& algorithm, NodeTable& table, const Cache& cache, const PodInfo& pod,
                 NodeInfo& node, Victims& victims) {
  std::vector<PodInfoRef> lower;
  for (const PodInfoRef& p : node.pods) {
    if (p->priority < pod.priority) lower.push_back(p);
  }
  if (lower.empty()) return Verdict::no("No preemption victims found for incoming pod");
  std::sort(lower.begin(), lower.end(), [](const PodInfoRef& a, const PodInfoRef& b) {
    return a->priority != b->priority ? a->priority > b->priority : a->started_at < b->started_at;
  });
  for (const PodInfoRef& p : lower) table.remove_pod(p->uid());
  Verdict fit = algorithm.check(pod, node);
  if (fit.fit == Fit::kYes) {
    std::vector<Budget> budgets = budgets_of(cache);
    std::vector<PodInfoRef> breaking, harmless;
    for (const PodInfoRef& p : lower) {
      (breaks_budget(budgets, *p) ? breaking : harmless).push_back(p);
    }
    for (auto* list : {&breaking, &harmless}) {
      for (const PodInfoRef& p : *list) {
        table.add_pod(p, node.name);
        if (algorithm.check(pod, node).fit == Fit::kYes) continue;
        table.remove_pod(p->uid());
        victims.pods.push_back(p);
        victims.broken += list == &breaking;
      }
    }
  }
  for (const PodInfoRef& p : lower) table.add_pod(p, node.name);
  return fit;
}

}  // namespace

Preemption find_preemption(Algorithm& algorithm, NodeTable& table, const Cache& cache,
                           const PodInfo& pod, const Choice& choice) {
  Preemption result;
  if (pod.never_preempts) {
    result.message = "not eligible due to preemptionPolicy=Never.";
    return result;
  }
  // Room is being made already: wait for those who are going.
  if (NodeInfo* node = table.find(pod.nominated_node); node != nullptr) {
    for (const PodInfoRef& p : node->pods) {
      if (p->object->deleting && p->priority < pod.priority) {
        result.message = "not eligible due to a terminating pod on the nominated node.";
        return result;
      }
    }
  }
  std::map<std::string, int64_t> reasons;
  std::vector<Victims> options;
  for (const auto& [name, verdict] : choice.verdicts) {
    NodeInfo* node = table.find(name);
    if (node == nullptr) continue;
    if (verdict.fit == Fit::kNever) {
      ++reasons["Preemption is not helpful for scheduling"];
      continue;
    }
    Victims victims;
    victims.node = name;
    Verdict fit = try_node(algorithm, table, cache, pod, *node, victims);
    if (fit.fit == Fit::kYes) {
      options.push_back(std::move(victims));
    } else {
      for (const std::string& r : fit.reasons) ++reasons[r];
    }
  }
  if (options.empty()) {
    result.message = fit_message(table.nodes().size(), reasons);
    return result;
  }
  auto best = std::min_element(options.begin(), options.end(),
                               [](const auto& a, const auto& b) { return a.cost() < b.cost(); });
  result.node = best->node;
  result.victims = std::move(best->pods);
  return result;
}

}  // namespace knarr::server
