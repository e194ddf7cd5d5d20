#include "server/controllers/job_core.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "api/view/meta.h"
#include "base/time.h"
#include "server/controllers/conditions.h"
#include "server/controllers/index_set.h"
#include "server/controllers/pods.h"

namespace knarr::server {

namespace {

constexpr int64_t kFirstBackoffUs = 10 * 1000000LL;
constexpr int64_t kLastBackoffUs = 600 * 1000000LL;

struct Core {
  Core(const json::Value& the_job, const std::vector<api::PodView>& the_pods, int64_t now_us)
      : job(the_job), pods(the_pods), now(now_us) {}

  const json::Value& job;
  const std::vector<api::PodView>& pods;
  int64_t now;
  JobPlan plan;

  const json::Value& spec = job["spec"];
  bool indexed = spec["completionMode"].as_string() == "Indexed";
  bool suspended = spec["suspend"].as_bool();
  bool per_index = spec["backoffLimitPerIndex"].is_integer();
  bool replace_failed_only =
      spec["podReplacementPolicy"].as_string() == "Failed" || spec["podFailurePolicy"].is_object();
  int64_t completions = api::int_field(spec, "completions", -1);  // -1: any success will do
  int64_t parallelism = api::int_field(spec, "parallelism", 1);

  std::set<std::string> uncounted_succeeded, uncounted_failed;
  std::set<int64_t> completed, failed_indexes;
  int64_t succeeded = 0, failed = 0;  // everything that is known of
  std::vector<const api::PodView*> active;
  int64_t terminating = 0, ready = 0;
  bool tracking = false;  // pods with finalizers that must go first
  std::string failed_by_policy;

  std::string now_text() const { return base::format_time(now); }
  bool pod_failed(const api::PodView& pod) const {
    if (pod.phase == api::PodPhase::kFailed) return true;
    return !replace_failed_only && pod.deleting() && pod.phase != api::PodPhase::kSucceeded;
  }
  void set_condition(const char* type, const char* status, const std::string& reason,
                     const std::string& message) {
    remove_condition(plan.status, type);
    plan.status.member("conditions")
        .push_back(json::Value::object({{"type", type},
                                        {"status", status},
                                        {"lastProbeTime", now_text()},
                                        {"lastTransitionTime", now_text()},
                                        {"reason", reason},
                                        {"message", message}}));
  }
  const json::Value& condition(const char* type) const {
    return api::condition(plan.status["conditions"], type);
  }
  bool has(const char* type) const { return condition(type)["status"].as_string() == "True"; }

  void read_status();
  void count_pods();
  void count_finished(const api::PodView& pod);
  void flush();
  void judge();
  bool judge_failure();
  bool success_policy_met(std::string& message) const;
  void manage();
  void choose_indexes(int64_t count);
  int64_t backoff_left() const;
  void suspend();
  void finish();
  void write_counts();
};

void Core::read_status() {
  plan.status = job["status"];
  if (!plan.status.is_object()) plan.status = json::Value::object();
  const json::Value& uncounted = plan.status["uncountedTerminatedPods"];
  for (const json::Value& u : uncounted["succeeded"].elements()) {
    uncounted_succeeded.insert(u.text());
  }
  for (const json::Value& u : uncounted["failed"].elements()) uncounted_failed.insert(u.text());
  if (indexed) {
    completed = parse_indexes(plan.status["completedIndexes"].as_string(), completions);
    failed_indexes = parse_indexes(plan.status["failedIndexes"].as_string(), completions);
  }
}

// What has no finalizer any more is safe to count.
void Core::flush() {
  std::set<std::string> held;
  for (const api::PodView& pod : pods) {
    if (has_job_finalizer(pod.value)) held.insert(pod.uid());
  }
  auto move = [&](std::set<std::string>& from, const char* counter) {
    int64_t n = plan.status[counter].as_int();
    for (auto it = from.begin(); it != from.end();) {
      if (held.count(*it) != 0) {
        ++it;
        continue;
      }
      ++n;
      it = from.erase(it);
    }
    api::set_or_erase(plan.status, counter, n);
  };
  move(uncounted_succeeded, "succeeded");
  move(uncounted_failed, "failed");
}

void Core::count_finished(const api::PodView& pod) {
  if (pod.phase == api::PodPhase::kSucceeded) {
    int64_t index = job_pod_index(pod.value);
    if (!indexed) {
      uncounted_succeeded.insert(pod.uid());
    } else if (index >= 0 && index < completions) {
      completed.insert(index);
      failed_indexes.erase(index);
    }
    return;
  }
  std::string message;
  std::string action = failure_action(job, pod.value, message);
  if (action == "Ignore") return;
  uncounted_failed.insert(pod.uid());
  if (action == "FailJob") failed_by_policy = message;
  if (!indexed || !per_index) return;
  int64_t index = job_pod_index(pod.value);
  std::string before = pod.value["metadata"]["annotations"][kJobIndexFailures].text();
  int64_t failures = before.empty() ? 0 : std::strtoll(before.c_str(), nullptr, 10);
  if (action == "FailIndex" || failures >= spec["backoffLimitPerIndex"].as_int()) {
    if (index >= 0) failed_indexes.insert(index);
  }
}

void Core::count_pods() {
  for (const api::PodView& pod : pods) {
    if (pod.active()) {
      active.push_back(&pod);
      ready += pod.ready;
    }
    terminating += pod.terminating();
    if (!has_job_finalizer(pod.value)) continue;
    bool done = pod.phase == api::PodPhase::kSucceeded || pod_failed(pod);
    if (!done && has("Failed")) done = true;
    if (!done) continue;
    tracking = true;
    plan.release.push_back(&pod);
    if (uncounted_succeeded.count(pod.uid()) == 0 && uncounted_failed.count(pod.uid()) == 0) {
      count_finished(pod);
    }
  }
  if (indexed) {
    plan.status.member("succeeded") = json::Value(static_cast<int64_t>(completed.size()));
  }
  succeeded = plan.status["succeeded"].as_int() + static_cast<int64_t>(uncounted_succeeded.size());
  failed = plan.status["failed"].as_int() + static_cast<int64_t>(uncounted_failed.size());
}

bool Core::success_policy_met(std::string& message) const {
  const json::Value& rules = spec["successPolicy"]["rules"];
  for (size_t i = 0; i < rules.size(); ++i) {
    const json::Value& rule = rules[i];
    std::set<int64_t> matched = completed;
    bool all_of_set = true;
    if (rule.has("succeededIndexes")) {
      std::set<int64_t> wanted = parse_indexes(rule["succeededIndexes"].as_string(), completions);
      std::erase_if(matched, [&](int64_t x) { return wanted.count(x) == 0; });
      all_of_set = matched.size() == wanted.size();
    }
    bool met = rule.has("succeededCount")
                   ? static_cast<int64_t>(matched.size()) >= rule["succeededCount"].as_int()
                   : all_of_set;
    if (met) {
      message = "Matched rules at index " + std::to_string(i);
      return true;
    }
  }
  return false;
}

bool Core::judge_failure() {
  auto target = [&](const char* reason, const std::string& message) {
    set_condition("FailureTarget", "True", reason, message);
    return true;
  };
  if (!failed_by_policy.empty()) return target("PodFailurePolicy", failed_by_policy);
  int64_t limit =
      api::int_field(spec, "backoffLimit", per_index ? std::numeric_limits<int64_t>::max() : 6);
  bool exceeded = failed > limit;
  if (spec["template"]["spec"]["restartPolicy"].as_string() == "OnFailure") {
    int64_t restarts = 0;
    for (const api::PodView* pod : active) {
      for (const char* list : {"initContainerStatuses", "containerStatuses"}) {
        for (const json::Value& c : pod->value["status"][list].elements()) {
          restarts += c["restartCount"].as_int();
        }
      }
    }
    exceeded |= limit == 0 ? restarts > 0 : restarts >= limit;
  }
  if (exceeded) {
    return target("BackoffLimitExceeded", "Job has reached the specified backoff limit");
  }
  const json::Value& deadline = spec["activeDeadlineSeconds"];
  int64_t start = api::time_field(plan.status, "startTime");
  if (deadline.is_integer() && start != 0 && !suspended) {
    int64_t left = start + deadline.as_int() * 1000000 - now;
    if (left <= 0)
      return target("DeadlineExceeded", "Job was active longer than specified deadline");
    plan.again_ms = left / 1000 + 1;
  }
  if (!per_index || failed_indexes.empty()) return false;
  auto failures = static_cast<int64_t>(failed_indexes.size());
  if (spec["maxFailedIndexes"].is_integer() && failures > spec["maxFailedIndexes"].as_int()) {
    return target("MaxFailedIndexesExceeded",
                  "Job has exceeded the specified maximal number of failed indexes");
  }
  if (succeeded + failures >= completions && active.empty()) {
    return target("FailedIndexes", "Job has failed indexes");
  }
  return false;
}

void Core::judge() {
  if (has("FailureTarget") || has("SuccessCriteriaMet")) return;
  std::string message;
  if (indexed && success_policy_met(message)) {
    return set_condition("SuccessCriteriaMet", "True", "SuccessPolicy", message);
  }
  if (judge_failure()) return;
  bool complete = completions < 0 ? succeeded > 0 && active.empty() : succeeded >= completions;
  if (completions == 0 || (complete && !(suspended && completions < 0))) {
    set_condition("SuccessCriteriaMet", "True", "CompletionsReached",
                  "Reached expected number of succeeded pods");
  }
}

// After failures with no success since, the next pod waits 10 s, 20 s, ... from the last failure.
int64_t Core::backoff_left() const {
  auto ended = [](const api::PodView& pod) {
    int64_t at = 0;
    for (const json::Value& c : pod.value["status"]["containerStatuses"].elements()) {
      at = std::max(at, api::time_field(c["state"]["terminated"], "finishedAt"));
    }
    if (at == 0) at = api::time_field(pod.value["metadata"], "deletionTimestamp");
    return at != 0 ? at : std::max(pod.ready_since, pod.created_at);
  };
  int64_t last_success = 0;
  for (const api::PodView& pod : pods) {
    if (pod.phase == api::PodPhase::kSucceeded) last_success = std::max(last_success, ended(pod));
  }
  int64_t failures = 0, last = 0;
  for (const api::PodView& pod : pods) {
    if (pod.phase != api::PodPhase::kFailed || ended(pod) < last_success) continue;
    ++failures;
    last = std::max(last, ended(pod));
  }
  if (failures == 0) return 0;
  int64_t wait = failures > 7 ? kLastBackoffUs : kFirstBackoffUs << (failures - 1);
  return last + std::min(wait, kLastBackoffUs) - now;
}

void Core::choose_indexes(int64_t count) {
  std::set<int64_t> taken = completed;
  taken.insert(failed_indexes.begin(), failed_indexes.end());
  for (const api::PodView& pod : pods) {
    bool holds = pod.active() || (replace_failed_only && pod.terminating());
    if (holds) taken.insert(job_pod_index(pod.value));
  }
  for (int64_t i = 0; i < completions && count > 0; ++i) {
    if (taken.count(i) != 0) continue;
    plan.indexes.push_back(i);
    --count;
  }
  plan.create = static_cast<int64_t>(plan.indexes.size());
}

void Core::manage() {
  int64_t running = static_cast<int64_t>(active.size());
  int64_t want = parallelism;
  if (completions < 0) {
    if (succeeded > 0) want = running;
  } else {
    want = std::min(parallelism,
                    completions - succeeded - static_cast<int64_t>(failed_indexes.size()));
  }
  want = std::max<int64_t>(0, want);
  if (running > want) {
    plan.remove_uncounted = true;
    std::vector<api::PodView> ranked;
    for (const api::PodView* pod : active) ranked.push_back(*pod);
    rank_victims(ranked, {}, now);
    for (int64_t i = 0; i < running - want; ++i) {
      for (const api::PodView* pod : active) {
        if (pod->uid() == ranked[static_cast<size_t>(i)].uid()) plan.remove.push_back(pod);
      }
    }
    return;
  }
  int64_t missing = want - running - (replace_failed_only ? terminating : 0);
  if (missing <= 0) return;
  if (int64_t left = backoff_left(); left > 0) {
    int64_t ms = left / 1000 + 1;
    if (plan.again_ms < 0 || ms < plan.again_ms) plan.again_ms = ms;
    return;
  }
  if (indexed) return choose_indexes(missing);
  plan.create = missing;
}

void Core::suspend() {
  const json::Value& told = condition("Suspended");
  if (suspended) {
    plan.remove = active;
    plan.remove_uncounted = true;
    if (told["status"].as_string() == "True") return;
    set_condition("Suspended", "True", "JobSuspended", "Job suspended");
    plan.status.erase("startTime");
    plan.events.push_back({false, "Suspended", "Job suspended"});
  } else if (told["status"].as_string() == "True") {
    set_condition("Suspended", "False", "JobResumed", "Job resumed");
    plan.status.set("startTime", now_text());
    plan.events.push_back({false, "Resumed", "Job resumed"});
  }
}

// The outcome becomes final when every pod has ended and is counted.
void Core::finish() {
  bool success = has("SuccessCriteriaMet");
  plan.remove = active;
  plan.remove_uncounted = success;  // of a job that failed, all pods have
  bool open = !active.empty() || terminating != 0 || tracking || !uncounted_succeeded.empty() ||
              !uncounted_failed.empty();
  if (open) return;
  json::Value why = condition(success ? "SuccessCriteriaMet" : "FailureTarget");
  set_condition(success ? "Complete" : "Failed", "True", why["reason"].text(),
                why["message"].text());
  if (success) {
    plan.status.set("completionTime", now_text());
    plan.events.push_back({false, "Completed", "Job completed"});
  } else {
    plan.events.push_back({true, why["reason"].text(), why["message"].text()});
  }
}

void Core::write_counts() {
  json::Value& s = plan.status;
  api::set_or_erase(s, "active", static_cast<int64_t>(active.size()));
  s.set("ready", ready).set("terminating", terminating);
  api::set_or_erase(s, "succeeded", s["succeeded"].as_int());
  json::Value uncounted = json::Value::object();
  auto list = [&](const char* key, const std::set<std::string>& uids) {
    for (const std::string& uid : uids) uncounted.member(key).push_back(uid);
  };
  list("succeeded", uncounted_succeeded);
  list("failed", uncounted_failed);
  s.set("uncountedTerminatedPods", std::move(uncounted));
  if (!indexed) return;
  if (completed.empty()) {
    s.erase("completedIndexes");
  } else {
    s.set("completedIndexes", format_indexes(completed));
  }
  if (per_index) s.set("failedIndexes", format_indexes(failed_indexes));
}

}  // namespace

JobPlan plan_job(const json::Value& job, const std::vector<api::PodView>& pods, int64_t now_us) {
  Core core(job, pods, now_us);
  core.read_status();
  core.flush();
  core.count_pods();
  if (!core.suspended && !core.plan.status.has("startTime")) {
    core.plan.status.set("startTime", core.now_text());
  }
  core.judge();
  if (core.has("FailureTarget") || core.has("SuccessCriteriaMet")) {
    core.finish();
  } else {
    core.suspend();
    if (!core.suspended) core.manage();
  }
  core.write_counts();
  return std::move(core.plan);
}

bool job_finished(const json::Value& job, int64_t* finished_us) {
  for (const char* type : {"Complete", "Failed"}) {
    const json::Value& c = api::condition(job["status"]["conditions"], type);
    if (c["status"].as_string() != "True") continue;
    if (finished_us != nullptr) *finished_us = api::time_field(c, "lastTransitionTime");
    return true;
  }
  return false;
}

int64_t job_pod_index(const json::Value& pod) {
  std::string text = pod["metadata"]["annotations"][kJobIndexKey].text();
  return text.empty() ? -1 : std::strtoll(text.c_str(), nullptr, 10);
}

bool has_job_finalizer(const json::Value& pod) {
  for (const json::Value& f : pod["metadata"]["finalizers"].elements()) {
    if (f.as_string() == kJobFinalizer) return true;
  }
  return false;
}

namespace {

// The container whose exit code the rule names; null when it does not match.
const json::Value* matching_container(const json::Value& rule, const json::Value& pod) {
  const json::Value& codes = rule["onExitCodes"];
  bool in = codes["operator"].as_string() == "In";
  for (const char* list : {"containerStatuses", "initContainerStatuses"}) {
    for (const json::Value& c : pod["status"][list].elements()) {
      const json::Value& ended = c["state"]["terminated"];
      if (ended.is_null() || ended["exitCode"].as_int() == 0) continue;
      if (codes.has("containerName") && !(codes["containerName"] == c["name"])) continue;
      bool listed = false;
      for (const json::Value& v : codes["values"].elements()) {
        listed |= v.as_int() == ended["exitCode"].as_int();
      }
      if (listed == in) return &c;
    }
  }
  return nullptr;
}

}  // namespace

std::string failure_action(const json::Value& job, const json::Value& pod, std::string& message) {
  const json::Value& rules = job["spec"]["podFailurePolicy"]["rules"];
  std::string who =
      "for pod " + pod["metadata"]["namespace"].text() + "/" + pod["metadata"]["name"].text();
  for (size_t i = 0; i < rules.size(); ++i) {
    const json::Value& rule = rules[i];
    std::string action = rule["action"].text();
    std::string where = " matching " + action + " rule at index " + std::to_string(i);
    if (rule["onExitCodes"].is_object()) {
      const json::Value* c = matching_container(rule, pod);
      if (c == nullptr) continue;
      message = "Container " + (*c)["name"].text() + " " + who + " failed with exit code " +
                std::to_string((*c)["state"]["terminated"]["exitCode"].as_int()) + where;
      return action;
    }
    for (const json::Value& pattern : rule["onPodConditions"].elements()) {
      const json::Value& c =
          api::condition(pod["status"]["conditions"], pattern["type"].as_string());
      if (c.is_null() || c["status"].as_string() != pattern["status"].as_string("True")) continue;
      message = "Pod " + pod["metadata"]["namespace"].text() + "/" +
                pod["metadata"]["name"].text() + " has condition " + pattern["type"].text() + where;
      return action;
    }
  }
  return {};
}

}  // namespace knarr::server
