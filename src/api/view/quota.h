// ResourceQuotas as arithmetic: what one object takes of a quota, and which quotas speak of it.
// Shared by admission (which refuses) and the quota controller (which counts). Pure.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "api/view/pod_resources.h"
#include "base/json.h"

namespace knarr::api {

// The kind of object that is counted. `now_us` decides whether a deleted pod's time is over.
struct QuotaSubject {
  std::string_view group;
  std::string_view plural;
  const json::Value& object;
  int64_t now_us = 0;
};

// Everything the object takes, by the names a quota may limit: {"pods": 1, "requests.cpu": 100m}.
Quantities quota_usage(const QuotaSubject& subject);
// Of the quota's resource names those that this kind of object can take.
std::vector<std::string> quota_names_for(std::string_view group, std::string_view plural,
                                         const json::Value& hard);
// All scopes and scope selectors of the quota hold for the object.
bool in_quota_scopes(const json::Value& quota_spec, const QuotaSubject& subject);
// A change that gives something back, which the quota controller must count anew.
bool frees_quota(const QuotaSubject& before, const QuotaSubject& after);

// Containers that fail to say what the quota needs to know: "must specify cpu for: a,b"; or empty.
std::string quota_unspecified(const json::Value& pod_spec, const std::vector<std::string>& names);

}  // namespace knarr::api
