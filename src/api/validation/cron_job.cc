// Cron jobs.
#include "api/cron.h"
#include "api/validation/internal.h"
#include "api/validation/workload.h"

namespace knarr::api::rules {
namespace {

bool is_zone_part(std::string_view part) {
  constexpr size_t kMaxPart = 14;
  if (part.empty() || part.size() > kMaxPart || part[0] == '-' || part == "." || part == "..") {
    return false;
  }
  for (char c : part) {
    bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                std::string_view("_+-.").find(c) != std::string_view::npos;
    if (!good) return false;
  }
  return true;
}

bool is_zone_name(std::string_view name) {
  while (true) {
    size_t slash = name.find('/');
    if (!is_zone_part(name.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    name.remove_prefix(slash + 1);
  }
}

bool is_local(std::string_view name) {
  constexpr std::string_view kLocal = "local";
  if (name.size() != kLocal.size()) return false;
  for (size_t i = 0; i < name.size(); i++) {
    if ((name[i] | 0x20) != kLocal[i]) return false;
  }
  return true;
}

// The zone's name, as the time zone database spells such names.
void time_zone(const Value& zone, const Path& path, ErrorList& errors) {
  if (zone.is_null()) return;
  std::string_view name = zone.as_string();
  if (name.empty()) {
    errors.invalid(path, name, "timeZone must be nil or non-empty string");
  } else if (!is_zone_name(name)) {
    errors.invalid(path, name, "unknown time zone " + std::string(name));
  } else if (is_local(name)) {
    errors.invalid(path, name,
                   "timeZone must be an explicit time zone as defined in "
                   "https://www.iana.org/time-zones");
  }
}

void schedule(const Value& spec, bool zone_allowed, const Path& path, ErrorList& errors) {
  std::string_view text = spec["schedule"].as_string();
  if (text.empty()) return errors.required(path);
  auto parsed = CronSchedule::parse(text);
  if (!parsed.ok()) errors.invalid(path, text, parsed.error().message);
  if (text.find("TZ") == std::string_view::npos) return;
  if (!zone_allowed) {
    errors.invalid(path, text, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
  } else if (!spec["timeZone"].is_null()) {
    errors.invalid(path, text, "cannot use both timeZone field and TZ or CRON_TZ in schedule");
  }
}

void cron_job_spec(const Value& spec, const Value& old, ErrorList& errors) {
  Path path("spec");
  bool zone_allowed = old["schedule"].as_string().find("TZ") != std::string_view::npos;
  schedule(spec, zone_allowed, path / "schedule", errors);
  not_negative(spec["startingDeadlineSeconds"], path / "startingDeadlineSeconds", errors);
  if (old.is_null() || !(spec["timeZone"] == old["timeZone"])) {
    time_zone(spec["timeZone"], path / "timeZone", errors);
  }
  one_of(spec["concurrencyPolicy"], {"Allow", "Forbid", "Replace"}, path / "concurrencyPolicy",
         errors);
  Path at = path / "jobTemplate" / "spec";
  const Value& job = spec["jobTemplate"]["spec"];
  job_spec(job, at, errors);
  if (!job["selector"].is_null()) {
    errors.invalid(at / "selector", job["selector"], "`selector` will be auto-generated");
  }
  if (job["manualSelector"].as_bool()) {
    errors.not_supported(at / "manualSelector", true, {"nil", "false"});
  }
  not_negative(spec["successfulJobsHistoryLimit"], path / "successfulJobsHistoryLimit", errors);
  not_negative(spec["failedJobsHistoryLimit"], path / "failedJobsHistoryLimit", errors);
}

}  // namespace

void cron_job(const Value& object, ErrorList& errors) {
  cron_job_spec(object["spec"], Value(), errors);
  if (object["metadata"]["name"].as_string().size() > 52) {
    errors.invalid(Path("metadata") / "name", object["metadata"]["name"],
                   "must be no more than 52 characters");
  }
}

void cron_job_update(const Value& object, const Value& old, ErrorList& errors) {
  cron_job_spec(object["spec"], old["spec"], errors);
}

}  // namespace knarr::api::rules
