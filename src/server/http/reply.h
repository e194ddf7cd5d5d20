// Answers on the wire: a Status, an object, a list, in the form and encoding that was negotiated.
// Loop thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "api/resource.h"
#include "knarr/clock.h"
#include "knarr/object.h"
#include "net/http.h"
#include "server/http/media.h"
#include "server/registry/registry.h"

namespace knarr::server {

// What every answer to one request shares.
struct Reply {
  net::ExchangePtr exchange;
  Wanted wanted;
  std::string include_object;  // of Tables: "", "None", "Metadata", "Object"
  Clock* clock = nullptr;      // for long bodies, compressed over several turns of the loop
  std::vector<std::string> warnings;
  int retry_after_seconds = 0;  // > 0: the header Retry-After
};

// Names a request in audit logs: the client's, or made when it sends none. Every answer has it.
inline constexpr std::string_view kAuditId = "Audit-Id";

// The headers of any answer of the API server.
net::Headers answer_headers(const Reply& reply, std::string_view type);

void send_json(const Reply& reply, int code, std::string json);
void send_status(const Reply& reply, const Error& error);
// For where nothing was negotiated: JSON.
void send_error(const net::ExchangePtr& exchange, const Error& error);
void send_text(const net::ExchangePtr& exchange, int code, std::string text);

void send_object(const Reply& reply, int code, const api::ResourceInfo& resource,
                 const ObjectRef& object, int64_t now_us);
// An object that is not stored (a Scale, a review, a Status), in the wanted form.
void send_virtual(const Reply& reply, int code, std::string json, int64_t now_us);
void send_list(const Reply& reply, const api::ResourceInfo& resource, ListPage page,
               int64_t now_us);

// The protobuf document of an object, list or Status; nullopt: its kind is not in the catalogue.
std::optional<std::string> protobuf_of(std::string_view json);

// {"kind":"PartialObjectMetadata",...} of an object.
std::string partial_json(std::string_view object_json, std::string_view version);
// A Table of these objects. `columns`: with columnDefinitions (a watch sends them once).
// kBadRequest for an unknown include_object.
Result<json::Value> table_of(const Reply& reply, const api::ResourceInfo& resource,
                             const std::vector<ObjectRef>& objects, json::Value metadata,
                             bool columns, int64_t now_us);

}  // namespace knarr::server
