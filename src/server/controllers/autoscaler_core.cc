#include "server/controllers/autoscaler_core.h"

#include <algorithm>
#include <cmath>

#include "api/quantity.h"
#include "api/view/meta.h"

namespace knarr::server {

namespace {

constexpr int64_t kSecondUs = 1000000;
constexpr int64_t kCpuStartUs = 5 * 60 * kSecondUs;  // in which a pod's CPU says little
constexpr int64_t kFirstReadyUs = 30 * kSecondUs;    // not ready after this: it once was
constexpr int64_t kDefaultDownWindowS = 5 * 60;

struct Groups {
  int64_t ready = 0;
  std::set<std::string> unready, missing, ignored;
};

bool too_early(const api::PodView& pod, const PodMetric& metric, int64_t now_us) {
  const json::Value& status = pod.value["status"];
  const json::Value& ready = api::condition(status["conditions"], "Ready");
  int64_t started = api::time_field(status, "startTime");
  if (ready.is_null() || started == 0) return true;
  int64_t since = api::time_field(ready, "lastTransitionTime");
  bool not_ready = ready["status"].as_string() == "False";
  if (started + kCpuStartUs > now_us) {
    return not_ready || metric.timestamp_us < since + metric.window_us;
  }
  return not_ready && started + kFirstReadyUs > since;
}

Groups group(const PodUsage& usage) {
  Groups g;
  for (const api::PodView& pod : usage.pods) {
    if (pod.deleting() || pod.phase == api::PodPhase::kFailed) {
      g.ignored.insert(pod.name());
      continue;
    }
    if (pod.phase == api::PodPhase::kPending) {
      g.unready.insert(pod.name());
      continue;
    }
    auto metric = usage.metrics.find(pod.name());
    if (metric == usage.metrics.end()) {
      g.missing.insert(pod.name());
    } else if (usage.cpu && too_early(pod, metric->second, usage.now_us)) {
      g.unready.insert(pod.name());
    } else {
      ++g.ready;
    }
  }
  return g;
}

int64_t ceiling(double replicas) { return static_cast<int64_t>(std::ceil(replicas)); }

// The steps that both kinds of target share. `ratio(metrics, proposal)` says how far usage is from
// the target and notes what it found; `full(pod)` is what a pod without metrics counts as when the
// rest says "fewer".
template <typename Ratio, typename Full>
Result<Proposal> propose(PodUsage& usage, Ratio ratio, Full full) {
  if (usage.pods.empty()) {
    return make_error(Code::kUnknown,
                      "no pods returned by selector while calculating replica count");
  }
  Groups groups = group(usage);
  std::erase_if(usage.metrics, [&](const auto& m) {
    return groups.ignored.count(m.first) != 0 || groups.unready.count(m.first) != 0;
  });
  if (usage.metrics.empty()) {
    return make_error(Code::kUnknown,
                      "did not receive metrics for targeted pods (pods might be unready)");
  }
  Proposal found;
  TRY_ASSIGN(double before, ratio(usage.metrics, found));
  Proposal stay = found;
  stay.replicas = usage.current;
  bool count_unready = !groups.unready.empty() && before > 1.0;
  if (!count_unready && groups.missing.empty()) {
    if (usage.tolerances.holds(before)) return stay;
    found.replicas = ceiling(before * static_cast<double>(groups.ready));
    return found;
  }
  for (const std::string& pod : groups.missing) {
    if (before < 1.0) usage.metrics[pod] = {full(pod), 0, 0};
    if (before > 1.0) usage.metrics[pod] = {};
  }
  if (count_unready) {
    for (const std::string& pod : groups.unready) usage.metrics[pod] = {};
  }
  Proposal unused;
  TRY_ASSIGN(double after, ratio(usage.metrics, unused));
  bool turned = (before < 1.0 && after > 1.0) || (before > 1.0 && after < 1.0);
  if (usage.tolerances.holds(after) || turned) return stay;
  found.replicas = ceiling(after * static_cast<double>(usage.metrics.size()));
  bool against = (after < 1.0 && found.replicas > usage.current) ||
                 (after > 1.0 && found.replicas < usage.current);
  return against ? stay : found;
}

}  // namespace

Result<Proposal> replicas_for_utilization(PodUsage usage,
                                          const std::map<std::string, int64_t>& requests,
                                          int64_t target_percent) {
  auto ratio = [&](const PodMetrics& metrics, Proposal& found) -> Result<double> {
    int64_t used = 0, asked = 0, pods = 0;
    for (const auto& [name, metric] : metrics) {
      auto request = requests.find(name);
      if (request == requests.end()) continue;
      used += metric.value_milli;
      asked += request->second;
      ++pods;
    }
    if (asked == 0) return make_error(Code::kUnknown, "no metrics returned matched known pods");
    found.utilization_percent = used * 100 / asked;
    found.average_milli = used / pods;
    return static_cast<double>(found.utilization_percent) / static_cast<double>(target_percent);
  };
  int64_t most = std::max<int64_t>(100, target_percent);
  return propose(usage, ratio, [&](const std::string& pod) {
    auto request = requests.find(pod);
    return request == requests.end() ? 0 : request->second * most / 100;
  });
}

Result<Proposal> replicas_for_average(PodUsage usage, int64_t target_milli) {
  auto ratio = [&](const PodMetrics& metrics, Proposal& found) -> Result<double> {
    int64_t used = 0;
    for (const auto& [name, metric] : metrics) used += metric.value_milli;
    found.average_milli = used / static_cast<int64_t>(metrics.size());
    return static_cast<double>(found.average_milli) / static_cast<double>(target_milli);
  };
  return propose(usage, ratio, [&](const std::string&) { return target_milli; });
}

Result<std::map<std::string, int64_t>> requests_of(const std::vector<api::PodView>& pods,
                                                   const std::string& resource,
                                                   const std::string& container) {
  std::map<std::string, int64_t> requests;
  for (const api::PodView& pod : pods) {
    const json::Value& spec = pod.value["spec"];
    int64_t sum = 0;
    auto add = [&](const json::Value& c) -> Result<void> {
      if (!container.empty() && c["name"].as_string() != container) return {};
      const json::Value& request = c["resources"]["requests"][resource];
      if (request.is_null()) {
        return make_error(Code::kUnknown, "missing request for " + resource + " in container " +
                                              c["name"].text() + " of Pod " + pod.name());
      }
      sum += api::quantity_or_zero(request.as_string()).milli_value();
      return {};
    };
    const json::Value& whole = spec["resources"]["requests"][resource];
    if (container.empty() && !whole.is_null()) {
      requests[pod.name()] = api::quantity_or_zero(whole.as_string()).milli_value();
      continue;
    }
    for (const json::Value& c : spec["containers"].elements()) TRY(add(c));
    for (const json::Value& c : spec["initContainers"].elements()) {
      if (c["restartPolicy"].as_string() == "Always") TRY(add(c));
    }
    requests[pod.name()] = sum;
  }
  return requests;
}

void ScaleHistory::forget_before(int64_t cutoff_us) {
  auto old = [&](const auto& e) { return e.at_us < cutoff_us; };
  std::erase_if(recommendations, old);
  std::erase_if(ups, old);
  std::erase_if(downs, old);
}

namespace {

constexpr const char* kWithin = "the desired count is within the acceptable range";

int64_t changed_since(const std::vector<ScaleHistory::Change>& changes, int64_t cutoff_us) {
  int64_t sum = 0;
  for (const ScaleHistory::Change& c : changes) {
    if (c.at_us > cutoff_us) sum += c.replicas;
  }
  return sum;
}

// How far the rules let the count go in one direction from here.
int64_t rate_limit(const ScaleHistory& history, const json::Value& rules, bool up, int64_t current,
                   int64_t now_us) {
  std::string_view select = rules["selectPolicy"].as_string("Max");
  if (select == "Disabled") return current;
  std::optional<int64_t> limit;
  for (const json::Value& policy : rules["policies"].elements()) {
    int64_t cutoff = now_us - policy["periodSeconds"].as_int() * kSecondUs;
    int64_t start =
        current - changed_since(history.ups, cutoff) + changed_since(history.downs, cutoff);
    int64_t value = policy["value"].as_int();
    int64_t proposed = 0;
    if (policy["type"].as_string() == "Pods") {
      proposed = up ? start + value : start - value;
    } else {
      double share = static_cast<double>(value) / 100;
      double base = static_cast<double>(start);
      proposed = up ? ceiling(base * (1 + share)) : static_cast<int64_t>(base * (1 - share));
    }
    bool larger = up == (select == "Max");
    if (!limit) limit = proposed;
    limit = larger ? std::max(*limit, proposed) : std::min(*limit, proposed);
  }
  return limit.value_or(current);
}

struct Bound {
  int64_t replicas;
  const char* reason;
  const char* message;
};

Bound upper_bound(int64_t most, int64_t rate) {
  if (most > rate) {
    return {rate, "ScaleUpLimit",
            "the desired replica count is increasing faster than the maximum scale rate"};
  }
  return {most, "TooManyReplicas",
          "the desired replica count is more than the maximum replica count"};
}

Bound lower_bound(int64_t least, int64_t rate) {
  if (least < rate) {
    return {rate, "ScaleDownLimit",
            "the desired replica count is decreasing faster than the maximum scale rate"};
  }
  return {least, "TooFewReplicas",
          "the desired replica count is less than the minimum replica count"};
}

void limit_to(ScaleVerdict& verdict, int64_t stable, const Bound* lower, const Bound* upper) {
  verdict.replicas = stable;
  verdict.limit_reason = "DesiredWithinRange";
  verdict.limit_message = kWithin;
  const Bound* hit = nullptr;
  if (lower != nullptr && stable < lower->replicas) hit = lower;
  if (upper != nullptr && stable > upper->replicas) hit = upper;
  if (hit == nullptr) return;
  verdict.replicas = hit->replicas;
  verdict.limited = true;
  verdict.limit_reason = hit->reason;
  verdict.limit_message = hit->message;
}

// Lets the count go no lower than the highest, nor higher than the lowest, of what was recommended
// within each direction's window.
int64_t stabilize(const ScaleHistory& history, int64_t up_window_s, int64_t down_window_s,
                  int64_t current, int64_t wanted, int64_t now_us) {
  int64_t lowest = wanted, highest = wanted;
  for (const ScaleHistory::Recommendation& r : history.recommendations) {
    if (r.at_us > now_us - up_window_s * kSecondUs) lowest = std::min(lowest, r.replicas);
    if (r.at_us > now_us - down_window_s * kSecondUs) highest = std::max(highest, r.replicas);
  }
  return std::min(std::max(current, lowest), highest);
}

}  // namespace

ScaleVerdict settle_replicas(ScaleHistory& history, const json::Value& behavior, ScaleLimits limits,
                             int64_t current, int64_t wanted, int64_t now_us) {
  ScaleVerdict verdict;
  bool ruled = behavior.is_object();
  const json::Value& up = behavior["scaleUp"];
  const json::Value& down = behavior["scaleDown"];
  int64_t up_window = up["stabilizationWindowSeconds"].as_int(0);
  int64_t down_window = down["stabilizationWindowSeconds"].as_int(kDefaultDownWindowS);
  int64_t stable = wanted;
  if (ruled) {
    stable = stabilize(history, up_window, down_window, current, wanted, now_us);
  } else {
    for (const ScaleHistory::Recommendation& r : history.recommendations) {
      if (r.at_us > now_us - kDefaultDownWindowS * kSecondUs) stable = std::max(stable, r.replicas);
    }
  }
  history.recommendations.push_back({now_us, wanted});
  verdict.stabilized = stable != wanted;
  bool rising = ruled && wanted >= current;
  if (!verdict.stabilized) {
    verdict.stable_reason = "ReadyForNewScale";
    verdict.stable_message = "recommended size matches current size";
  } else {
    verdict.stable_reason = rising ? "ScaleUpStabilized" : "ScaleDownStabilized";
    verdict.stable_message =
        rising ? "recent recommendations were lower than current one, applying the lowest recent "
                 "recommendation"
               : "recent recommendations were higher than current one, applying the highest recent "
                 "recommendation";
  }
  if (!ruled) {
    Bound upper = upper_bound(limits.most, std::max<int64_t>(2 * current, 4));
    Bound lower = lower_bound(limits.least, limits.least);
    limit_to(verdict, stable, &lower, &upper);
  } else if (stable > current) {
    int64_t rate = rate_limit(history, up, true, current, now_us);
    Bound upper = upper_bound(limits.most, std::max(rate, current));
    limit_to(verdict, stable, nullptr, &upper);
  } else if (stable < current) {
    int64_t rate = rate_limit(history, down, false, current, now_us);
    Bound lower = lower_bound(limits.least, std::min(rate, current));
    limit_to(verdict, stable, &lower, nullptr);
  } else {
    limit_to(verdict, stable, nullptr, nullptr);
  }
  return verdict;
}

}  // namespace knarr::server
