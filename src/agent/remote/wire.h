// Requests and answers of client::Client as the Kubernetes API has them in HTTP. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "api/resource.h"
#include "base/json.h"
#include "knarr/client.h"

namespace knarr::agent {

// "/api/v1/namespaces/default/pods/web/status?fieldManager=x". For a create without a subresource
// the name is left out.
std::string path_of(const client::Request& request);
std::string_view method_of(client::Verb verb);
// Of the body; empty when there is none.
std::string_view content_type_of(const client::Request& request);

// The object in an answer of 2xx, else the Status in it as an error; what is neither is told with
// the HTTP status.
Result<ObjectRef> read_answer(const client::Target& target, int http_status, std::string_view body);

// From `revision` on, or with everything that is there when it is 0.
std::string watch_path(const client::WatchTarget& target, int64_t revision);

struct WireEvent {
  enum class Type { kUpsert, kDelete, kBookmark, kError };
  Type type = Type::kError;
  ObjectRef object;  // of an upsert or delete
  int64_t revision = 0;
  bool initial_end = false;  // of a bookmark: everything that was there has been told
  Error error;
};
// One line of a watch.
Result<WireEvent> read_event(const api::ResourceInfo& resource, std::string_view line);

}  // namespace knarr::agent
