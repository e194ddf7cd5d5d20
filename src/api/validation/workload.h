// What the files of workloads share.
#pragma once

#include "api/validation/rules.h"

namespace knarr::api::rules {

void job(const Value& object, ErrorList& errors);
void job_update(const Value& object, const Value& old, ErrorList& errors);
void job_status(const Value& object, const Value& old, ErrorList& errors);
// Of a job, or of a cron job's template.
void job_spec(const Value& spec, const Path& path, ErrorList& errors);
void cron_job(const Value& object, ErrorList& errors);
void cron_job_update(const Value& object, const Value& old, ErrorList& errors);

void stateful_set(const Value& object, ErrorList& errors);
void stateful_set_update(const Value& object, const Value& old, ErrorList& errors);

void deployment_status(const Value& object, const Value& old, ErrorList& errors);
void replica_status(const Value& object, const Value& old, ErrorList& errors);
void daemon_set_status(const Value& object, const Value& old, ErrorList& errors);
void stateful_set_status(const Value& object, const Value& old, ErrorList& errors);

// Pods that must run forever: `kind` names the owner in the message.
void only_restart_always(const Value& pod_template, std::string_view kind, const Path& path,
                         ErrorList& errors);
// A selector that is there, well-formed and not empty; true when pods can be matched with it.
bool workload_selector(const Value& selector, std::string_view kind, std::string_view broken,
                       const Path& path, ErrorList& errors);
void must_match_template(const Value& selector, const Value& pod_template, const Path& path,
                         ErrorList& errors);
// A count or percentage of nothing.
bool is_none(const Value& int_or_percent);

}  // namespace knarr::api::rules
