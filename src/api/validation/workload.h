#pragma once

#include "api/validation/rules.h"

namespace knarr::api::rules {

void job(const Value& object, ErrorList& errors);
void job_update(const Value& object, const Value& old, ErrorList& errors);
void job_status(const Value& object, const Value& old, ErrorList& errors);
void cron_job(const Value& object, ErrorList& errors);

}  // namespace knarr::api::rules
