#include "server/scheduler/algorithm.h"

#include <algorithm>

#include "base/format.h"

namespace knarr::server {

namespace {

constexpr size_t kMinFeasible = 100;

Verdict run_prepare(Cycle& cycle) {
  for (const Plugin& p : scheduler_plugins()) {
    if (p.prepare == nullptr) continue;
    Verdict v = p.prepare(cycle);
    if (v.fit == Fit::kYes) continue;
    v.plugin = p.name;
    return v;
  }
  return {};
}

Verdict run_filters(Cycle& cycle, const NodeInfo& node) {
  for (const Plugin& p : scheduler_plugins()) {
    if (p.filter == nullptr) continue;
    Verdict v = p.filter(cycle, node);
    if (v.fit == Fit::kYes) continue;
    v.plugin = p.name;
    return v;
  }
  return {};
}

unsigned wakes_of(const std::string& plugin) {
  for (const Plugin& p : scheduler_plugins()) {
    if (plugin == p.name) return p.wakes_on;
  }
  return ~0U;
}

}  // namespace

std::string fit_message(size_t nodes, const std::map<std::string, int64_t>& reasons) {
  std::vector<std::string> texts;
  for (const auto& [reason, count] : reasons) texts.push_back(fmt::format("{} {}", count, reason));
  std::sort(texts.begin(), texts.end());
  std::string message = fmt::format("0/{} nodes are available:", nodes);
  for (size_t i = 0; i < texts.size(); ++i) message += (i == 0 ? " " : ", ") + texts[i];
  return message + ".";
}

size_t Algorithm::enough(size_t nodes) {
  if (nodes < kMinFeasible) return nodes;
  size_t percent = nodes / 125 >= 45 ? 5 : 50 - nodes / 125;
  return std::max(kMinFeasible, nodes * percent / 100);
}

Verdict Algorithm::check(const PodInfo& pod, const NodeInfo& node) {
  Cycle cycle{pod, table_, cache_, {}, nullptr, {}};
  Verdict v = run_prepare(cycle);
  return v.fit == Fit::kYes ? run_filters(cycle, node) : v;
}

Choice Algorithm::choose(const PodInfo& pod) {
  Choice choice;
  const std::vector<NodeInfo*>& all = table_.nodes();
  if (all.empty()) {
    choice.message = "no nodes available to schedule pods";
    choice.wakes_on = kNodeChange;
    return choice;
  }
  Cycle cycle{pod, table_, cache_, {}, nullptr, {}};
  Verdict refused = run_prepare(cycle);
  if (refused.fit != Fit::kYes) {
    explain(cycle, &refused, choice);
    return choice;
  }
  const std::vector<NodeInfo*>& candidates = cycle.only ? *cycle.only : all;
  // A node that was cleared for this pod by preemption comes first.
  if (!pod.nominated_node.empty()) {
    NodeInfo* node = table_.find(pod.nominated_node);
    if (node != nullptr && run_filters(cycle, *node).fit == Fit::kYes) {
      choice.node = node->name;
      return choice;
    }
  }
  std::vector<NodeInfo*> fitting;
  size_t wanted = enough(candidates.size()), looked = 0;
  for (; looked < candidates.size() && fitting.size() < wanted; ++looked) {
    NodeInfo* node = candidates[(start_ + looked) % candidates.size()];
    Verdict v = run_filters(cycle, *node);
    if (v.fit == Fit::kYes) {
      fitting.push_back(node);
    } else {
      choice.preemptible |= v.fit == Fit::kNo;
      choice.verdicts.emplace(node->name, std::move(v));
    }
  }
  if (!cycle.only) start_ = (start_ + looked) % candidates.size();
  if (fitting.empty()) {
    explain(cycle, nullptr, choice);
    return choice;
  }
  choice.node = fitting.size() == 1 ? fitting[0]->name : best_of(cycle, fitting);
  return choice;
}

void Algorithm::explain(const Cycle& cycle, const Verdict* for_all, Choice& choice) const {
  if (for_all != nullptr) {
    choice.message = fmt::format("0/{} nodes are available: {}.", table_.nodes().size(),
                                 for_all->reasons.front());
    // What upstream's preemption answers when no node was looked at.
    choice.message += " not found";
    choice.wakes_on = wakes_of(for_all->plugin);
    return;
  }
  if (cycle.only) {
    std::string reason =
        fmt::format("node(s) didn't satisfy plugin(s) [{}]", cycle.narrowed_by.front());
    for (const NodeInfo* node : table_.nodes()) {
      if (std::find(cycle.only->begin(), cycle.only->end(), node) != cycle.only->end()) continue;
      Verdict v = Verdict::never(reason);
      v.plugin = cycle.narrowed_by.front();
      choice.verdicts.emplace(node->name, std::move(v));
    }
  }
  std::map<std::string, int64_t> reasons;
  for (const auto& [node, v] : choice.verdicts) {
    choice.wakes_on |= wakes_of(v.plugin);
    for (const std::string& r : v.reasons) ++reasons[r];
  }
  choice.message = fit_message(table_.nodes().size(), reasons);
}

std::string Algorithm::best_of(Cycle& cycle, const std::vector<NodeInfo*>& nodes) {
  std::vector<int64_t> totals(nodes.size(), 0);
  for (const Plugin& p : scheduler_plugins()) {
    if (p.score == nullptr) continue;
    std::vector<int64_t> scores(nodes.size(), 0);
    if (!p.score(cycle, nodes, scores)) continue;
    for (size_t i = 0; i < nodes.size(); ++i) totals[i] += scores[i] * p.weight;
  }
  // Of equals, each with the same chance.
  size_t best = 0, equals = 1;
  for (size_t i = 1; i < nodes.size(); ++i) {
    if (totals[i] > totals[best]) {
      best = i;
      equals = 1;
    } else if (totals[i] == totals[best] && random_.below(++equals) == 0) {
      best = i;
    }
  }
  return nodes[best]->name;
}

}  // namespace knarr::server
