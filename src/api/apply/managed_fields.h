// metadata.managedFields: who owns which fields of an object, kept up at every write, and
// server-side apply, which is a merge under that ownership (KEP-555). Pure; any thread.
//
// An owner is (manager, operation, apiVersion, subresource). Each function takes the new object
// with the managedFields of the live one still in place and leaves the new ones in it.
#pragma once

#include <string>
#include <string_view>

#include "api/apply/field_set.h"
#include "api/schema/schema.h"
#include "base/json.h"
#include "knarr/result.h"

namespace knarr::api {

struct Writer {
  std::string manager;      // ?fieldManager=, else the program's name from User-Agent
  std::string api_version;  // of the endpoint: "apps/v1"
  std::string subresource;
  std::string time;  // RFC 3339
  // Fields that this endpoint resets and so nobody comes to own here ("f:status", ...).
  FieldSet ignored;
};

// The name in a User-Agent: "kubectl/v1.33 (linux/amd64)" -> "kubectl".
std::string manager_of_user_agent(std::string_view user_agent);

// After an ordinary write (create: `live` is the empty object of the kind). Changes nothing when
// the client emptied managedFields on purpose: that resets the tracking.
void update_managed_fields(const Type& type, const json::Value& live, json::Value& now,
                           const Writer& writer);

struct ApplyOptions {
  Writer writer;
  bool force = false;
};

// The object that results from applying `config` to `live` (create: the empty object of the kind).
// kConflict, with a cause a field, when others own what it changes.
Result<json::Value> apply_config(const Type& type, const json::Value& live,
                                 const json::Value& config, const ApplyOptions& options);

// Sets the times of entries that did not change back to those of the live object, when nothing else
// of the object changed: a write that changes nothing must not be seen as one.
void keep_times_of_noop(const json::Value& live, json::Value& now);

}  // namespace knarr::api
