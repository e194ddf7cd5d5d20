#include "server/http/write_options.h"

#include <charconv>

#include "api/validation/metadata.h"
#include "base/format.h"
#include "base/json.h"
#include "server/http/request_info.h"
#include "server/status/errors.h"

namespace knarr::server {
namespace {

std::string_view options_kind(std::string_view verb) {
  if (verb == "create") return "CreateOptions";
  if (verb == "update") return "UpdateOptions";
  if (verb == "patch") return "PatchOptions";
  return "DeleteOptions";
}

// A parameter as a number, as Go reads it; absent ones are 0.
Result<int64_t> number(const net::Query& query, std::string_view name) {
  if (!query.has(name)) return int64_t{0};
  std::string_view text = query.get(name);
  std::string_view digits = text.starts_with('+') ? text.substr(1) : text;
  int64_t v = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), v);
  if (error == std::errc() && end == digits.data() + digits.size()) return v;
  bool large = error == std::errc::result_out_of_range && end == digits.data() + digits.size();
  return bad_request(fmt::format("strconv.ParseInt: parsing {}: {}", api::go_quote(text),
                                 large ? "value out of range" : "invalid syntax"));
}

}  // namespace

Result<void> read_write_options(const net::Query& query, std::string_view verb, Request& request) {
  api::ErrorList errors;
  request.field_manager = query.get("fieldManager");
  api::validate_field_manager(request.field_manager, api::Path("fieldManager"), errors);
  bool known = true;
  json::Value runs = json::Value::array();
  for (std::string_view value : query.all("dryRun")) {
    request.dry_run = true;
    known = known && value == "All";
    runs.push_back(value);
  }
  if (!known) errors.not_supported(api::Path("dryRun"), runs, {"All"});
  if (query.has("force")) {
    request.force = query_bool(query, "force");
    request.force_given = request.force;
  }
  std::string_view validation = query.get("fieldValidation");
  if (validation == "Strict") {
    request.validation = api::FieldValidation::kStrict;
  } else if (validation == "Ignore") {
    request.validation = api::FieldValidation::kIgnore;
  } else if (!validation.empty() && validation != "Warn") {
    errors.not_supported(api::Path("fieldValidation"), json::Value(validation),
                         {"", "Ignore", "Strict", "Warn"});
  }
  if (errors.empty()) return {};
  return api::invalid_error("meta.k8s.io", options_kind(verb), "", errors);
}

Result<std::string> delete_options_of(const net::Query& query) {
  json::Value v = json::Value::object();
  if (query.has("gracePeriodSeconds")) {
    int64_t seconds = 0;
    TRY_ASSIGN(seconds, number(query, "gracePeriodSeconds"));
    v.set("gracePeriodSeconds", seconds);
  }
  if (query.has("propagationPolicy")) v.set("propagationPolicy", query.get("propagationPolicy"));
  if (query.has("orphanDependents")) {
    v.set("orphanDependents", query_bool(query, "orphanDependents"));
  }
  if (v.size() == 0) return std::string();
  v.set("kind", "DeleteOptions");
  v.set("apiVersion", "v1");
  return json::write(v);
}

Result<RawListQuery> raw_list_query(const net::Query& query, bool watch, std::string_view name) {
  RawListQuery raw;
  TRY_ASSIGN(raw.timeout_seconds, number(query, "timeoutSeconds"));
  TRY_ASSIGN(raw.limit, number(query, "limit"));
  raw.watch = watch;
  raw.label_selector = query.get("labelSelector");
  raw.field_selector = query.get("fieldSelector");
  if (!name.empty()) {
    if (!raw.field_selector.empty()) raw.field_selector += ",";
    raw.field_selector += "metadata.name=" + std::string(name);
  }
  raw.resource_version = query.get("resourceVersion");
  raw.resource_version_match = query.get("resourceVersionMatch");
  raw.continue_token = query.get("continue");
  raw.allow_bookmarks = query_bool(query, "allowWatchBookmarks");
  if (query.has("sendInitialEvents")) {
    raw.send_initial_events = query_bool(query, "sendInitialEvents");
  }
  return raw;
}

std::optional<api::VerbBit> verb_bit(std::string_view verb, std::string_view method) {
  if (method == "HEAD") return std::nullopt;
  for (api::VerbBit bit : api::all_verbs()) {
    if (api::verb_name(bit) == verb) return bit;
  }
  return std::nullopt;
}

std::string_view deprecation_of(const api::ResourceInfo& resource) {
  if (!resource.group.empty()) return {};
  if (resource.plural == "endpoints") {
    return "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice";
  }
  if (resource.plural == "componentstatuses") return "v1 ComponentStatus is deprecated in v1.19+";
  return {};
}

bool is_node_subresource(const api::ResourceInfo& resource, const api::Subresource* sub) {
  if (sub == nullptr || !resource.group.empty()) return false;
  std::string_view s = sub->name;
  return s == "log" || s == "exec" || s == "attach" || s == "portforward" || s == "proxy";
}

NodeRequest::Kind node_kind(const api::ResourceInfo& resource, std::string_view subresource) {
  using Kind = NodeRequest::Kind;
  if (subresource == "exec") return Kind::kExec;
  if (subresource == "attach") return Kind::kAttach;
  if (subresource == "portforward") return Kind::kPortForward;
  if (subresource == "log") return Kind::kLog;
  if (resource.plural == "services") return Kind::kServiceProxy;
  return resource.plural == "nodes" ? Kind::kNodeProxy : Kind::kPodProxy;
}

std::string proxied_name(std::string_view name) {
  size_t first = name.find(':');
  if (first == std::string_view::npos) return std::string(name);
  size_t second = name.find(':', first + 1);
  // "scheme:name:port", or "name:port".
  if (second != std::string_view::npos) {
    return std::string(name.substr(first + 1, second - first - 1));
  }
  return std::string(name.substr(0, first));
}

}  // namespace knarr::server
