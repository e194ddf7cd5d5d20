#include "server/registry/list_options.h"

#include <charconv>

#include "api/object.h"
#include "api/validation/errors.h"
#include "base/base64.h"
#include "base/format.h"
#include "base/json.h"
#include "server/status/errors.h"

namespace knarr::server {
namespace {

std::optional<int64_t> number(std::string_view text) {
  int64_t v = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (error != std::errc() || end != text.data() + text.size() || v < 0) return std::nullopt;
  return v;
}

api::ErrorList check_list(const RawListQuery& raw) {
  api::ErrorList errors;
  api::Path match("resourceVersionMatch");
  const std::string& value = raw.resource_version_match;
  if (!value.empty()) {
    if (raw.resource_version.empty()) {
      errors.forbidden(match,
                       "resourceVersionMatch is forbidden unless resourceVersion is provided");
    }
    if (!raw.continue_token.empty()) {
      errors.forbidden(match, "resourceVersionMatch is forbidden when continue is provided");
    }
    if (value != "Exact" && value != "NotOlderThan") {
      errors.not_supported(match, value, {"Exact", "NotOlderThan", ""});
    }
    if (value == "Exact" && raw.resource_version == "0") {
      errors.forbidden(match,
                       "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
    }
  }
  if (raw.send_initial_events) {
    errors.forbidden(api::Path("sendInitialEvents"), "sendInitialEvents is forbidden for list");
  }
  return errors;
}

api::ErrorList check_watch(const RawListQuery& raw) {
  api::ErrorList errors;
  api::Path match("resourceVersionMatch");
  const std::string& value = raw.resource_version_match;
  if (raw.send_initial_events && value != "NotOlderThan") {
    errors.forbidden(match,
                     "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
  }
  if (value.empty()) return errors;
  if (!raw.send_initial_events) {
    errors.forbidden(
        match, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
  }
  if (value != "NotOlderThan") errors.not_supported(match, value, {"NotOlderThan"});
  if (!raw.continue_token.empty()) {
    errors.forbidden(match, "resourceVersionMatch is forbidden when continue is provided");
  }
  return errors;
}

Error bad_token(std::string_view why) {
  return bad_request(fmt::format("invalid continue token: continue key is not valid: {}", why));
}

// As a path: nothing in it is empty, "." or "..".
bool is_clean(std::string_view path) {
  if (path.front() == '/') path.remove_prefix(1);
  while (true) {
    size_t slash = path.find('/');
    std::string_view part = path.substr(0, slash);
    if (part.empty() || part == "." || part == "..") return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

Result<void> parse_token(const std::string& text, ListQuery& query) {
  auto decoded = base::base64_decode(text, base::Base64::kUrl);
  if (!decoded.ok()) return bad_token("illegal base64 data");
  Result<json::Value> token = json::parse(*decoded);
  if (!token.ok()) {
    std::string first = decoded->substr(0, 1);
    return bad_token(fmt::format("invalid character '{}' looking for beginning of value", first));
  }
  std::string version = (*token)["v"].text();
  if (version != "meta.k8s.io/v1") {
    return bad_token("server does not recognize this encoded version " + version);
  }
  int64_t revision = (*token)["rv"].as_int();
  if (revision == 0) {
    return bad_token("incorrect encoded start resourceVersion (version meta.k8s.io/v1)");
  }
  std::string start = (*token)["start"].text();
  if (start.empty()) {
    return bad_token("encoded start key empty (version meta.k8s.io/v1)");
  }
  if (!is_clean(start)) return bad_token(start);
  if (start.front() == '/') start.erase(0, 1);
  while (!start.empty() && start.back() == '\0') start.pop_back();
  size_t slash = start.find('/');
  query.after = slash == std::string::npos
                    ? NamespacedName{"", start}
                    : NamespacedName{start.substr(0, slash), start.substr(slash + 1)};
  query.page_revision = revision;
  return {};
}

}  // namespace

std::string continue_token(kv::Revision revision, const NamespacedName& last) {
  json::Value token = json::Value::object({{"v", "meta.k8s.io/v1"}, {"rv", revision}});
  token.set("start", last.text() + std::string(1, '\0'));
  return base::base64_encode(json::write(token), base::Base64::kUrl);
}

Result<ListQuery> parse_list_query(const api::ResourceInfo& resource, const RawListQuery& raw) {
  ListQuery query;
  if (!raw.label_selector.empty()) {
    TRY_ASSIGN(query.labels, api::LabelSelector::parse(raw.label_selector));
  }
  if (!raw.field_selector.empty()) {
    TRY_ASSIGN(query.fields, api::FieldSelector::parse(raw.field_selector));
    TRY(query.fields.check(resource.kind, api::selectable_fields(resource)));
  }
  api::ErrorList errors = raw.watch ? check_watch(raw) : check_list(raw);
  if (!errors.empty()) return api::invalid_error("meta.k8s.io", "ListOptions", "", errors);

  if (!raw.resource_version.empty()) {
    std::optional<int64_t> revision = number(raw.resource_version);
    if (!revision) {
      std::string why = fmt::format(
          "resourceVersion: Invalid value: {}: strconv.ParseUint: parsing {}: invalid syntax",
          api::go_quote(raw.resource_version), api::go_quote(raw.resource_version));
      bool bad = !raw.watch && !raw.resource_version_match.empty();
      return make_error(bad ? Code::kBadRequest : Code::kUnknown, why);
    }
    query.revision = *revision;
    query.revision_given = true;
  }
  query.exact = raw.resource_version_match == "Exact";
  query.not_older = raw.resource_version_match == "NotOlderThan";
  query.limit = raw.limit;
  query.bookmarks = raw.allow_bookmarks;
  query.send_initial_events = raw.send_initial_events;
  query.timeout_seconds = raw.timeout_seconds;
  if (!raw.watch && !raw.continue_token.empty()) {
    if (query.revision > 0) {
      return bad_request("specifying resource version is not allowed when using continue");
    }
    TRY(parse_token(raw.continue_token, query));
  }
  return query;
}

Predicate ListQuery::predicate() const {
  if (labels.empty() && fields.empty()) return nullptr;
  return [labels = labels, fields = fields](const Object& object) {
    return labels.matches(object) && fields.matches(object);
  };
}

}  // namespace knarr::server
