#include "server/status/errors.h"

#include "base/format.h"

namespace knarr::server {
namespace {

Error about(Code code, std::string message, std::string_view group, std::string_view kind,
            std::string_view name) {
  auto details = std::make_shared<ErrorDetails>();
  details->group = group;
  details->kind = kind;
  details->name = name;
  return Error{code, std::move(message), std::move(details)};
}

Error bare(Code code, std::string message) {
  return Error{code, std::move(message), std::make_shared<ErrorDetails>()};
}

}  // namespace

std::string qualified(std::string_view group, std::string_view resource) {
  std::string out(resource);
  if (!group.empty()) out.append(".").append(group);
  return out;
}

Error not_found(std::string_view group, std::string_view resource, std::string_view name) {
  return about(Code::kNotFound,
               fmt::format("{} \"{}\" not found", qualified(group, resource), name), group,
               resource, name);
}

Error already_exists(std::string_view group, std::string_view resource, std::string_view name) {
  return about(Code::kAlreadyExists,
               fmt::format("{} \"{}\" already exists", qualified(group, resource), name), group,
               resource, name);
}

Error conflict(std::string_view group, std::string_view resource, std::string_view name,
               std::string_view why) {
  return about(Code::kConflict,
               fmt::format("Operation cannot be fulfilled on {} \"{}\": {}",
                           qualified(group, resource), name, why),
               group, resource, name);
}

Error forbidden(std::string_view group, std::string_view resource, std::string_view name,
                std::string_view why) {
  std::string what = qualified(group, resource);
  std::string message = name.empty() ? fmt::format("{} is forbidden: {}", what, why)
                                     : fmt::format("{} \"{}\" is forbidden: {}", what, name, why);
  return about(Code::kForbidden, std::move(message), group, resource, name);
}

Error bad_request(std::string message) { return make_error(Code::kBadRequest, std::move(message)); }

Error unknown_path() {
  return bare(Code::kNotFound, "the server could not find the requested resource");
}

Error method_not_allowed() {
  return bare(Code::kMethodNotAllowed,
              "the server does not allow this method on the requested resource");
}

Error not_acceptable(std::string message) {
  return make_error(Code::kNotAcceptable, std::move(message));
}

Error unsupported_media_type() {
  return make_error(Code::kUnsupportedMediaType,
                    "the body of the request was in an unknown format - accepted media types "
                    "include: application/json, application/yaml, "
                    "application/vnd.kubernetes.protobuf");
}

Error internal_error(std::string why) {
  auto details = std::make_shared<ErrorDetails>();
  details->causes.push_back({"", why, ""});
  return Error{Code::kInternalError, "Internal error occurred: " + why, std::move(details)};
}

Error unauthorized() { return make_error(Code::kUnauthorized, "Unauthorized"); }

std::string success_json(std::string_view group, std::string_view resource, std::string_view name,
                         std::string_view uid) {
  json::Value details = json::Value::object();
  if (!name.empty()) details.set("name", name);
  if (!group.empty()) details.set("group", group);
  details.set("kind", resource);
  if (!uid.empty()) details.set("uid", uid);
  return json::write(json::Value::object({{"kind", "Status"},
                                          {"apiVersion", "v1"},
                                          {"metadata", json::Value::object()},
                                          {"status", "Success"},
                                          {"details", std::move(details)}}));
}

}  // namespace knarr::server
