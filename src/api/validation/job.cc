// Jobs and cron jobs.
#include "api/cron.h"
#include "api/selector.h"
#include "api/validation/workload.h"

namespace knarr::api::rules {
namespace {

void job_spec(const Value& spec, const Path& path, ErrorList& errors) {
  for (const char* member :
       {"parallelism", "completions", "activeDeadlineSeconds", "backoffLimit",
        "ttlSecondsAfterFinished", "backoffLimitPerIndex", "maxFailedIndexes"}) {
    not_negative(spec[member], path / member, errors);
  }
  const Value& mode = spec["completionMode"];
  if (!mode.is_null()) {
    maybe_one_of(mode, {"NonIndexed", "Indexed"}, path / "completionMode", errors);
    if (mode.as_string() == "Indexed" && spec["completions"].is_null()) {
      errors.required(path / "completions", "when completion mode is Indexed");
    }
    if (mode.as_string() == "Indexed" && spec["parallelism"].as_int() > 100000) {
      errors.invalid(path / "parallelism", spec["parallelism"],
                     "must be less than or equal to 100000 when completion mode is Indexed");
    }
  }
  if (mode.as_string() != "Indexed" && !spec["backoffLimitPerIndex"].is_null()) {
    errors.invalid(path / "backoffLimitPerIndex", spec["backoffLimitPerIndex"],
                   "requires indexed completion mode");
  }
  const Value& policy = spec["podFailurePolicy"];
  const Value& restart = spec["template"]["spec"]["restartPolicy"];
  if (!policy.is_null() && restart.as_string() != "Never") {
    errors.invalid(path / "template" / "spec" / "restartPolicy", restart,
                   "only \"Never\" is supported when podFailurePolicy is specified");
  }
  maybe_one_of(spec["podReplacementPolicy"], {"Failed", "TerminatingOrFailed"},
               path / "podReplacementPolicy", errors);
  pod_template(spec["template"], path / "template", errors);
  if (restart.as_string() != "OnFailure" && restart.as_string() != "Never") {
    Path at = path / "template" / "spec" / "restartPolicy";
    if (restart.as_string("Always") == "Always") {
      errors.required(at, "valid values: \"OnFailure\", \"Never\"");
    } else {
      errors.not_supported(at, restart, {"OnFailure", "Never"});
    }
  }
}

void selector_rules(const Value& spec, const Path& path, ErrorList& errors) {
  if (spec["selector"].is_null()) {
    errors.required(path / "selector");
    return;
  }
  label_selector(spec["selector"], path / "selector", errors);
  auto selector = LabelSelector::from_object(spec["selector"]);
  const Value& labels = spec["template"]["metadata"]["labels"];
  if (selector.ok() && !selector->matches(labels)) {
    errors.invalid(path / "template" / "metadata" / "labels", labels,
                   "`selector` does not match template `labels`");
  }
}

// The zone's name, as the time zone database spells such names.
void time_zone(const Value& zone, const Path& path, ErrorList& errors) {
  if (zone.is_null()) return;
  std::string_view name = zone.as_string();
  if (name.empty()) {
    errors.invalid(path, name, "timeZone must be nil or non-empty string");
    return;
  }
  bool good = name[0] != '-' && name[0] != '/' && name.find("..") == std::string_view::npos;
  for (char c : name) {
    good &= (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            std::string_view("/_+-.").find(c) != std::string_view::npos;
  }
  if (!good || name == "Local") {
    errors.invalid(path, name,
                   name == "Local" ? "timeZone must be an explicit time zone as defined in "
                                     "https://www.iana.org/time-zones"
                                   : "unknown time zone " + std::string(name));
  }
}

// What the job controller may change while a job is suspended and has not begun.
Value without_scheduling(const Value& pod_template) {
  Value out = pod_template;
  Value& spec = out.member("spec");
  for (const char* member : {"nodeSelector", "tolerations", "affinity", "schedulingGates"}) {
    spec.erase(member);
  }
  out.member("metadata").erase("labels");
  out.member("metadata").erase("annotations");
  return out;
}

}  // namespace

void job(const Value& object, ErrorList& errors) {
  Path path("spec");
  job_spec(object["spec"], path, errors);
  selector_rules(object["spec"], path, errors);
}

void job_update(const Value& object, const Value& old, ErrorList& errors) {
  const Value& spec = object["spec"];
  const Value& before = old["spec"];
  Path path("spec");
  job_spec(spec, path, errors);
  bool indexed = before["completionMode"].as_string() == "Indexed";
  bool elastic = indexed && spec["completions"] == spec["parallelism"];
  if (!elastic) immutable(spec["completions"], before["completions"], path / "completions", errors);
  immutable(spec["selector"], before["selector"], path / "selector", errors);
  bool unstarted = before["suspend"].as_bool() && old["status"]["startTime"].is_null();
  bool same_template =
      unstarted ? without_scheduling(spec["template"]) == without_scheduling(before["template"])
                : spec["template"] == before["template"];
  if (!same_template) errors.invalid(path / "template", spec["template"], kImmutable);
  for (const char* member : {"completionMode", "podFailurePolicy", "backoffLimitPerIndex",
                             "managedBy", "successPolicy"}) {
    immutable(spec[member], before[member], path / member, errors);
  }
}

void job_status(const Value& object, const Value& old, ErrorList& errors) {
  const Value& status = object["status"];
  Path path("status");
  for (const char* member : {"active", "succeeded", "failed", "ready", "terminating"}) {
    not_negative(status[member], path / member, errors);
  }
  if (!old["status"]["completionTime"].is_null()) {
    immutable(status["completionTime"], old["status"]["completionTime"], path / "completionTime",
              errors);
  }
}

void cron_job(const Value& object, ErrorList& errors) {
  const Value& spec = object["spec"];
  Path path("spec");
  std::string_view schedule = spec["schedule"].as_string();
  if (schedule.empty()) {
    errors.required(path / "schedule");
  } else {
    auto parsed = CronSchedule::parse(schedule);
    if (!parsed.ok()) errors.invalid(path / "schedule", schedule, parsed.error().message);
    if (schedule.find("TZ") != std::string_view::npos) {
      errors.invalid(path / "schedule", schedule,
                     "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
    }
  }
  not_negative(spec["startingDeadlineSeconds"], path / "startingDeadlineSeconds", errors);
  one_of(spec["concurrencyPolicy"], {"Allow", "Forbid", "Replace"}, path / "concurrencyPolicy",
         errors);
  time_zone(spec["timeZone"], path / "timeZone", errors);
  Path job_path = path / "jobTemplate" / "spec";
  job_spec(spec["jobTemplate"]["spec"], job_path, errors);
  if (!spec["jobTemplate"]["spec"]["selector"].is_null()) {
    errors.invalid(job_path / "selector", spec["jobTemplate"]["spec"]["selector"],
                   "`selector` will be auto-generated");
  }
  not_negative(spec["successfulJobsHistoryLimit"], path / "successfulJobsHistoryLimit", errors);
  not_negative(spec["failedJobsHistoryLimit"], path / "failedJobsHistoryLimit", errors);
  if (object["metadata"]["name"].as_string().size() > 52) {
    errors.invalid(Path("metadata") / "name", object["metadata"]["name"],
                   "must be no more than 52 characters");
  }
}

}  // namespace knarr::api::rules
