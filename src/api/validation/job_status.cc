// The status of jobs: what goes together, and what may not be taken back. Most rules look only at
// what a write changes, so that older objects stay writable.
#include <set>

#include "api/validation/internal.h"
#include "api/validation/job_indexes.h"
#include "api/validation/workload.h"

namespace knarr::api::rules {
namespace {

bool has_condition(const Value& status, std::string_view type, std::string_view value = "True") {
  for (const Value& c : status["conditions"].elements()) {
    if (c["type"].as_string() == type && c["status"].as_string() == value) return true;
  }
  return false;
}

// The conditions that the rules speak of.
struct Verdicts {
  explicit Verdicts(const Value& status)
      : complete(has_condition(status, "Complete")),
        failed(has_condition(status, "Failed")),
        failure_target(has_condition(status, "FailureTarget")),
        success_criteria(has_condition(status, "SuccessCriteriaMet")) {}
  bool finished() const { return complete || failed; }
  bool complete;
  bool failed;
  bool failure_target;
  bool success_criteria;
};

struct Change {
  const Value& spec;
  const Value& now;
  const Value& before;
  Verdicts is;
  Verdicts was;
  Path path{"status"};

  Change(const Value& object, const Value& old)
      : spec(object["spec"]), now(object["status"]), before(old["status"]), is(now), was(before) {}

  bool changed(const char* member) const { return !same(now[member], before[member]); }
  void conditions(std::string_view detail, ErrorList& errors) const {
    errors.invalid(path / "conditions", detail);
  }
};

void uncounted(const Value& pods, const Path& path, ErrorList& errors) {
  std::set<std::string_view> seen;
  for (const char* member : {"succeeded", "failed"}) {
    size_t i = 0;
    for (const Value& uid : pods[member].elements()) {
      Path at = (path / member)[i++];
      if (uid.as_string().empty()) {
        errors.invalid(at, uid, "must not be empty");
      } else if (!seen.insert(uid.as_string()).second) {
        errors.duplicate(at, uid);
      }
    }
  }
}

void completion(const Change& c, ErrorList& errors) {
  bool complete_changed = c.is.complete != c.was.complete;
  const Value& end = c.now["completionTime"];
  const Value& start = c.now["startTime"];
  Path at = c.path / "completionTime";
  if ((complete_changed || c.is.failed != c.was.failed) && c.is.complete && c.is.failed) {
    c.conditions("cannot set Complete=True and Failed=true conditions", errors);
  }
  if ((complete_changed || c.is.failure_target != c.was.failure_target) && c.is.complete &&
      c.is.failure_target) {
    c.conditions("cannot set Complete=True and FailureTarget=true conditions", errors);
  }
  if (complete_changed || c.changed("completionTime")) {
    if (!end.is_null() && !c.is.complete) {
      errors.invalid(at, end, "cannot set completionTime when there is no Complete=True condition");
    }
    if (end.is_null() && c.is.complete) {
      errors.required(at, "completionTime is required for Complete jobs");
    }
  }
  if ((c.changed("startTime") || c.changed("completionTime")) && !start.is_null() &&
      !end.is_null() && end.as_string() < start.as_string()) {
    errors.invalid(at, end, "must be equal to or after `startTime`");
  }
  if ((c.is.failed != c.was.failed || c.changed("failedIndexes")) && c.is.failed &&
      !c.is.failure_target) {
    c.conditions("cannot set Failed=True condition without the FailureTarget=true condition",
                 errors);
  }
  if ((complete_changed || c.is.success_criteria != c.was.success_criteria) && c.is.complete &&
      !c.is.success_criteria) {
    c.conditions("cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
                 errors);
  }
}

void finished(const Change& c, ErrorList& errors) {
  bool turned = c.is.finished() != c.was.finished();
  const Value& active = c.now["active"];
  if ((turned || c.changed("active")) && active.as_int() > 0 && c.is.finished()) {
    errors.invalid(c.path / "active", active, "active>0 is invalid for finished job");
  }
  bool nothing_to_do = c.spec["suspend"].as_bool() && c.spec["completions"].is_integer() &&
                       c.spec["completions"].as_int() == 0;
  if ((turned || c.changed("startTime")) && !nothing_to_do && c.now["startTime"].is_null() &&
      c.is.finished()) {
    errors.required(c.path / "startTime", "startTime is required for finished job");
  }
  const Value& pods = c.now["uncountedTerminatedPods"];
  if ((turned || c.changed("uncountedTerminatedPods")) && c.is.finished() &&
      pods["failed"].size() + pods["succeeded"].size() > 0) {
    errors.invalid(c.path / "uncountedTerminatedPods",
                   internal_value("batch", "v1", "UncountedTerminatedPods", pods),
                   "must be empty for finished job");
  }
}

void indexes(const Change& c, ErrorList& errors) {
  const Value& completions = c.spec["completions"];
  std::string_view completed = c.now["completedIndexes"].as_string();
  const Value& failed = c.now["failedIndexes"];
  bool per_index = !c.spec["backoffLimitPerIndex"].is_null();
  bool completed_changed = c.changed("completedIndexes");
  bool failed_changed = !(failed == c.before["failedIndexes"]);
  auto check = [&](const char* member, std::string_view text) {
    auto counted = count_indexes(text, completions.as_int());
    if (counted.ok()) return;
    errors.invalid(c.path / member, text,
                   std::string("error parsing ") + member + ": " + counted.error().message);
  };
  if (completed_changed && !completions.is_null()) check("completedIndexes", completed);
  if (failed_changed && !completions.is_null() && per_index && !failed.is_null()) {
    check("failedIndexes", failed.as_string());
  }
  bool indexed = c.spec["completionMode"].as_string() == "Indexed";
  if (completed_changed && !completed.empty() && !indexed) {
    errors.invalid(c.path / "completedIndexes", completed,
                   "cannot set non-empty completedIndexes when non-indexed completion mode");
  }
  if (failed_changed && !per_index && !failed.is_null()) {
    errors.invalid(c.path / "failedIndexes", failed,
                   "cannot set non-null failedIndexes when backoffLimitPerIndex is null");
  }
  if ((failed_changed || completed_changed) && !completions.is_null() && !failed.is_null()) {
    std::string wrong = indexes_overlap(completed, failed.as_string(), completions.as_int());
    if (!wrong.empty()) errors.invalid(c.path / "failedIndexes", failed, wrong);
  }
}

void agreement(const Change& c, ErrorList& errors) {
  bool turned = c.is.finished() != c.was.finished();
  const Value& terminating = c.now["terminating"];
  if ((turned || c.changed("terminating")) && terminating.as_int() > 0 && c.is.finished()) {
    errors.invalid(c.path / "terminating", terminating,
                   "terminating>0 is invalid for finished job");
  }
  const Value& ready = c.now["ready"];
  if ((c.changed("ready") || c.changed("active")) && ready.as_int() > c.now["active"].as_int()) {
    errors.invalid(c.path / "ready", ready, "cannot set more ready pods than active");
  }
  if (c.is.success_criteria && c.is.failed) {
    c.conditions("cannot set SuccessCriteriaMet=True and Failed=true conditions", errors);
  }
  if (c.is.success_criteria && c.is.failure_target) {
    c.conditions("cannot set SuccessCriteriaMet=True and FailureTarget=true conditions", errors);
  }
  if (!c.spec["successPolicy"].is_null() && !c.is.success_criteria && c.is.complete) {
    c.conditions(
        "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True",
        errors);
  }
}

void taken_back(const Change& c, ErrorList& errors) {
  for (const char* type : {"Failed", "Complete", "FailureTarget"}) {
    if (has_condition(c.before, type) && !has_condition(c.now, type)) {
      c.conditions(std::string("cannot disable the terminal ") + type + "=True condition", errors);
    }
  }
  bool elastic = c.spec["completionMode"].as_string() == "Indexed" &&
                 c.spec["completions"] == c.spec["parallelism"];
  for (const char* member : {"failed", "succeeded"}) {
    bool may = elastic && std::string_view(member) == "succeeded";
    if (!may && c.now[member].as_int() < c.before[member].as_int()) {
      errors.invalid(c.path / member, c.now[member].as_int(),
                     std::string("cannot decrease the ") + member + " counter");
    }
  }
  const Value& end = c.now["completionTime"];
  if (!end.is_null() && !c.before["completionTime"].is_null() && c.changed("completionTime")) {
    errors.invalid(c.path / "completionTime", end, kImmutable);
  }
  bool resuming =
      has_condition(c.before, "Suspended") && has_condition(c.now, "Suspended", "False");
  if (!resuming && !c.before["startTime"].is_null() && c.changed("startTime") &&
      !c.spec["suspend"].as_bool()) {
    errors.invalid(c.path / "startTime", c.now["startTime"],
                   "field is immutable for unsuspended job once set");
  }
  if (c.was.success_criteria && !c.is.success_criteria) {
    c.conditions("cannot disable the SuccessCriteriaMet=True condition", errors);
  }
  if (c.was.complete && !c.was.success_criteria && c.is.success_criteria) {
    c.conditions("cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions",
                 errors);
  }
}

}  // namespace

void job_status(const Value& object, const Value& old, ErrorList& errors) {
  Change change(object, old);
  for (const char* member : {"active", "succeeded", "failed", "ready", "terminating"}) {
    not_negative(change.now[member], change.path / member, errors);
  }
  uncounted(change.now["uncountedTerminatedPods"], change.path / "uncountedTerminatedPods", errors);
  completion(change, errors);
  finished(change, errors);
  indexes(change, errors);
  agreement(change, errors);
  taken_back(change, errors);
}

}  // namespace knarr::api::rules
