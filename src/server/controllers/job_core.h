// What a Job should do next: a pure function of the Job, its pods and the time.
//
// Counting survives crashes by a finalizer on every pod: a finished pod is first named in
// status.uncountedTerminatedPods, then loses its finalizer, then moves to the counters. So a pod is
// counted exactly once, whoever deletes it when. Conditions come in two steps: FailureTarget or
// SuccessCriteriaMet when the outcome is known, Failed or Complete when all pods have ended.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "api/view/pod.h"
#include "base/json.h"

namespace knarr::server {

inline constexpr const char* kJobFinalizer = "batch.kubernetes.io/job-tracking";
inline constexpr const char* kJobIndexKey = "batch.kubernetes.io/job-completion-index";
inline constexpr const char* kJobIndexFailures = "batch.kubernetes.io/job-index-failure-count";

struct JobEvent {
  bool warning;
  std::string reason;
  std::string message;
};

struct JobPlan {
  json::Value status;                        // written first, when it differs
  std::vector<const api::PodView*> release;  // then these lose their finalizer
  std::vector<const api::PodView*> remove;   // deleted
  bool remove_uncounted = false;             // and let go at once: they have not failed
  std::vector<JobEvent> events;
  int64_t create = 0;            // pods to make
  std::vector<int64_t> indexes;  // theirs, of an Indexed job
  int64_t again_ms = -1;
};

JobPlan plan_job(const json::Value& job, const std::vector<api::PodView>& pods, int64_t now_us);

// Complete or Failed; the condition's time, 0 when neither.
bool job_finished(const json::Value& job, int64_t* finished_us = nullptr);

int64_t job_pod_index(const json::Value& pod);  // -1: none
bool has_job_finalizer(const json::Value& pod);

// spec.podFailurePolicy applied to a failed pod: "", "FailJob", "FailIndex", "Ignore" or "Count";
// for FailJob the message.
std::string failure_action(const json::Value& job, const json::Value& pod, std::string& message);

}  // namespace knarr::server
