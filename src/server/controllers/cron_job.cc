#include "server/controllers/cron_job.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <vector>

#include "api/view/meta.h"
#include "base/time.h"
#include "server/controllers/claim.h"
#include "server/controllers/job_core.h"

namespace knarr::server {

namespace {
constexpr const char* kScheduledAt = "batch.kubernetes.io/cronjob-scheduled-timestamp";
constexpr int64_t kSecond = 1000000;
}  // namespace

struct CronJobController::State {
  json::Value cron;
  json::Value status;
  std::vector<std::pair<ObjectRef, json::Value>> jobs;
};

int64_t last_due(const api::CronSchedule& schedule, const api::ZoneOffset& zone, int64_t after,
                 int64_t now, int* missed) {
  int64_t last = 0;
  *missed = 0;
  auto at = schedule.next(after, zone);
  while (at && *at <= now) {
    last = *at;
    if (++*missed > 100) {
      // Far behind: only the newest matters. Look for it in a shrinking window.
      int64_t window = 1;
      for (auto probe = schedule.next(now - window, zone); !probe || *probe > now;
           probe = schedule.next(now - window, zone)) {
        window *= 2;
      }
      for (auto probe = schedule.next(now - window, zone); probe && *probe <= now;
           probe = schedule.next(*probe, zone)) {
        last = *probe;
      }
      return last;
    }
    at = schedule.next(*at, zone);
  }
  return last;
}

CronJobController::CronJobController(const ControllerContext& context)
    : Controller(context, "cronjob-controller") {}

void CronJobController::on_change(const GroupResource& resource, const ObjectRef& previous,
                                  const ObjectRef& object) {
  if (resource.resource == kCronJobs.plural) return enqueue((object ? object : previous)->name);
  enqueue_controller(previous, kCronJobs.kind);
  enqueue_controller(object, kCronJobs.kind);
}

Result<api::ZoneOffset> CronJobController::zone_of(const std::string& name) {
  if (name.empty() || name == "UTC" || name == "Etc/UTC") return api::ZoneOffset();
  if (auto it = zones_.find(name); it != zones_.end()) return it->second;
  Error unknown = make_error(Code::kNotFound, "unknown time zone " + name);
  if (name.find("..") != std::string::npos || name[0] == '/') return unknown;
  // A few kilobytes, once a zone.
  std::FILE* file = std::fopen(("/usr/share/zoneinfo/" + name).c_str(), "rb");
  if (file == nullptr) return unknown;
  std::string bytes;
  char buffer[4096];
  for (size_t n = 0; (n = std::fread(buffer, 1, sizeof buffer, file)) > 0;) bytes.append(buffer, n);
  std::fclose(file);
  TRY_ASSIGN(api::ZoneOffset zone, api::parse_tzif(bytes));
  zones_[name] = zone;
  return zone;
}

void CronJobController::reconcile(const NamespacedName& key, const PassRef& pass) {
  ObjectRef object = context_.get(kCronJobs, key);
  if (object == nullptr) return;
  auto state = std::make_shared<State>();
  state->cron = api::decode(*object);
  state->status = state->cron["status"];
  if (!state->status.is_object()) state->status = json::Value::object();
  for (const ObjectRef& job : controlled_objects(context_, kJobs, object->uid)) {
    state->jobs.emplace_back(job, api::decode(*job));
  }
  clean_up(*state, pass);
  sync_active(*state, pass);
  if (object->deleting || state->cron["spec"]["suspend"].as_bool() || !start_due(state, pass)) {
    write_status(*state, pass);
  }
}

void CronJobController::sync_active(State& state, const PassRef& pass) {
  json::Value active = json::Value::array();
  auto listed = [&](const std::string& uid) {
    for (const json::Value& a : state.status["active"].elements()) {
      if (a["uid"].as_string() == uid) return true;
    }
    return false;
  };
  for (const auto& [object, job] : state.jobs) {
    bool finished = job_finished(job);
    if (!listed(object->uid) && !finished) {
      event(state.cron, true, "UnexpectedJob",
            "Saw a job that the controller did not create or forgot: " + object->name.name);
    }
    bool complete = api::condition_is(job["status"]["conditions"], "Complete", "True");
    if (listed(object->uid) && finished) {
      event(state.cron, false, "SawCompletedJob",
            "Saw completed job: " + object->name.name +
                ", condition: " + (complete ? "Complete" : "Failed"));
    }
    const json::Value& done = job["status"]["completionTime"];
    if (complete && done.is_string() &&
        done.as_string() > state.status["lastSuccessfulTime"].as_string()) {
      state.status.set("lastSuccessfulTime", done);
    }
  }
  for (const json::Value& a : state.status["active"].elements()) {
    auto it = std::find_if(state.jobs.begin(), state.jobs.end(),
                           [&](const auto& j) { return j.first->uid == a["uid"].as_string(); });
    if (it == state.jobs.end()) {
      event(state.cron, false, "MissingJob", "Active job went missing: " + a["name"].text());
    } else if (!job_finished(it->second)) {
      active.push_back(a);
    }
  }
  (void)pass;
  if (active.empty()) {
    state.status.erase("active");
  } else {
    state.status.set("active", std::move(active));
  }
}

void CronJobController::clean_up(State& state, const PassRef& pass) {
  const json::Value& spec = state.cron["spec"];
  for (const char* type : {"Complete", "Failed"}) {
    const json::Value& limit =
        spec[type[0] == 'C' ? "successfulJobsHistoryLimit" : "failedJobsHistoryLimit"];
    if (!limit.is_integer()) continue;
    std::vector<std::pair<int64_t, ObjectRef>> ended;
    for (const auto& [object, job] : state.jobs) {
      if (object->deleting || !api::condition_is(job["status"]["conditions"], type, "True"))
        continue;
      ended.emplace_back(api::time_field(job["status"], "startTime"), object);
    }
    std::sort(ended.begin(), ended.end(), [](const auto& a, const auto& b) {
      return a.first != b.first ? a.first < b.first : a.second->name < b.second->name;
    });
    int64_t surplus = static_cast<int64_t>(ended.size()) - limit.as_int();
    for (int64_t i = 0; i < surplus; ++i) {
      const ObjectRef& job = ended[static_cast<size_t>(i)].second;
      pass->remove(delete_request(kJobs, job->name, job->uid, "Background"));
      event(state.cron, false, "SuccessfulDelete", "Deleted job " + job->name.name);
    }
  }
}

// True when a job is being started, whose answer writes the status.
bool CronJobController::start_due(const std::shared_ptr<State>& state, const PassRef& pass) {
  const json::Value& spec = state->cron["spec"];
  std::string text = spec["schedule"].text();
  auto schedule = api::CronSchedule::parse(text);
  if (!schedule.ok()) {
    event(state->cron, true, "UnparseableSchedule",
          "unparseable schedule: \"" + text + "\" : " + schedule.error().message);
    return false;
  }
  std::string zone_name = spec["timeZone"].text();
  if (zone_name.empty()) zone_name = schedule->zone_name();
  auto zone = zone_of(zone_name);
  if (!zone.ok()) {
    event(state->cron, true, "UnknownTimeZone",
          "invalid timeZone: \"" + zone_name + "\" : " + zone.error().message);
    return false;
  }
  int64_t now = now_us() / kSecond;
  int64_t earliest = api::creation_time(state->cron) / kSecond;
  if (int64_t last = api::time_field(state->status, "lastScheduleTime"); last != 0) {
    earliest = last / kSecond;
  }
  const json::Value& deadline = spec["startingDeadlineSeconds"];
  if (deadline.is_integer()) earliest = std::max(earliest, now - deadline.as_int());
  int missed = 0;
  int64_t due = last_due(*schedule, *zone, earliest, now, &missed);
  if (auto next = schedule->next(now, *zone)) {
    pass->again_after_ms((*next * kSecond - now_us()) / 1000 + 100);
  }
  if (missed > 100) {
    event(state->cron, true, "TooManyMissedTimes",
          "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check "
          "clock skew");
  }
  if (due == 0) return false;
  std::string name = pass->key().name + "-" + std::to_string(due / 60);
  for (const json::Value& a : state->status["active"].elements()) {
    if (a["name"].as_string() == name) return false;
  }
  bool running = !state->status["active"].empty();
  std::string policy = spec["concurrencyPolicy"].text();
  if (policy == "Forbid" && running) {
    event(state->cron, false, "JobAlreadyActive",
          "Not starting job because prior execution is running and concurrency policy is Forbid");
    return false;
  }
  if (policy == "Replace") {
    for (const json::Value& a : state->status["active"].elements()) {
      delete_job(state, pass, {pass->key().ns, a["name"].text()}, a["uid"].text());
    }
    state->status.erase("active");
  }
  start_job(state, pass, due);
  return true;
}

void CronJobController::delete_job(const std::shared_ptr<State>& state, const PassRef& pass,
                                   const NamespacedName& name, const std::string& uid) {
  pass->write(delete_request(kJobs, name, uid, "Background"),
              [this, state, pass, name](Result<ObjectRef> answer) {
                if (answer.ok()) {
                  return event(state->cron, false, "SuccessfulDelete", "Deleted job " + name.name);
                }
                if (answer.error().code == Code::kNotFound) return;
                event(state->cron, true, "FailedDelete", "Deleted job: " + answer.error().message);
                pass->fail(answer.error());
              });
}

void CronJobController::start_job(const std::shared_ptr<State>& state, const PassRef& pass,
                                  int64_t moment) {
  const json::Value& from = state->cron["spec"]["jobTemplate"];
  json::Value meta =
      json::Value::object({{"name", pass->key().name + "-" + std::to_string(moment / 60)},
                           {"namespace", pass->key().ns}});
  if (!from["metadata"]["labels"].empty()) meta.set("labels", from["metadata"]["labels"]);
  json::Value notes = from["metadata"]["annotations"];
  notes.member(kScheduledAt) = json::Value(base::format_time(moment * kSecond));
  meta.set("annotations", std::move(notes));
  meta.set("ownerReferences", json::Value::array({api::controller_reference(state->cron)}));
  json::Value job = json::Value::object({{"metadata", std::move(meta)}, {"spec", from["spec"]}});
  pass->write(create_request(kJobs, pass->key().ns, std::move(job)), [this, state, pass, moment](
                                                                         Result<ObjectRef> answer) {
    if (!answer.ok() && answer.error().code != Code::kAlreadyExists) {
      event(state->cron, true, "FailedCreate", "Error creating job: " + answer.error().message);
      pass->fail(answer.error());
      return write_status(*state, pass);
    }
    if (answer.ok()) {
      event(state->cron, false, "SuccessfulCreate", "Created job " + (*answer)->name.name);
      state->status.member("active").push_back(api::object_reference(api::decode(**answer)));
    }
    state->status.set("lastScheduleTime", base::format_time(moment * kSecond));
    write_status(*state, pass);
  });
}

void CronJobController::write_status(State& state, const PassRef& pass) {
  if (state.cron["status"] == state.status ||
      (state.status.empty() && state.cron["status"].empty())) {
    return;
  }
  json::Value changed = state.cron;
  changed.set("status", state.status);
  pass->write(update_request(kCronJobs, changed, "status"));
}

}  // namespace knarr::server
