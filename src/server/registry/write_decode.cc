// From what a client sent to a value of its kind: bodies and patched objects decoded, names checked
// against the URL, and who the writer is.

#include <algorithm>

#include "api/codec/decode.h"
#include "api/codec/yaml.h"
#include "api/schema/defaults.h"
#include "base/format.h"
#include "server/registry/patch_body.h"
#include "server/registry/reset_fields.h"
#include "server/registry/write_flow.h"
#include "server/status/errors.h"

namespace knarr::server {
namespace {

json::Value& meta_of(json::Value& object) { return object.member("metadata"); }

Error refused_patch(std::string_view shown, std::string_view why) {
  api::ErrorList errors;
  errors.invalid(api::Path("patch"), json::Value(shown), why);
  return api::invalid_error("", "", "", errors);
}

// An empty list says more than none: nobody shall own anything. Decoding drops it.
void keep_reset(json::Value& object, const json::Value& sent) {
  const json::Value& owners = sent["metadata"]["managedFields"];
  if (owners.is_array() && owners.size() == 0) {
    meta_of(object).set("managedFields", json::Value::array());
  }
}

void keep_reset(json::Value& object, const Body& body) {
  if (body.bytes.find("managedFields") == std::string::npos) return;
  if (meta_of(object).has("managedFields")) return;
  if (body.media == api::Media::kYaml) {
    if (auto sent = api::parse_yaml(body.bytes); sent.ok()) keep_reset(object, sent->value);
  } else if (auto sent = json::parse(body.bytes); sent.ok()) {
    keep_reset(object, *sent);
  }
}

}  // namespace

Result<json::Value> WriteFlow::decode(const Body& body) {
  api::DecodeOptions options;
  bool scale = is_scale();
  const api::Subresource* sub = request_->sub;
  options.group = scale ? sub->group : resource_.group;
  options.version = scale ? sub->version : resource_.version;
  options.kind = scale ? sub->kind : resource_.kind;
  options.type = scale ? sub->type : resource_.type;
  options.media = body.media;
  options.validation = request_->validation;
  api::Decoded decoded;
  TRY_ASSIGN(decoded, api::decode_body(options, body.bytes));
  for (std::string& w : decoded.strict_errors) request_->warnings.push_back(std::move(w));
  api::apply_defaults(*options.type, decoded.value);
  keep_reset(decoded.value, body);
  return std::move(decoded.value);
}

Result<void> WriteFlow::check_kind(json::Value& patched, const PatchBody& body) const {
  std::string version = is_scale() ? "autoscaling/v1" : resource_.api_version();
  std::string_view kind = is_scale() ? std::string_view("Scale") : resource_.kind;
  // Strategic merge never asks; elsewhere only what is named is looked at.
  bool asks = !body.is_strategic();
  if (!asks || patched["kind"].as_string().empty()) patched.set("kind", kind);
  if (!asks || patched["apiVersion"].as_string().empty()) patched.set("apiVersion", version);
  std::string_view given_kind = patched["kind"].as_string();
  std::string_view given_version = patched["apiVersion"].as_string();
  if (given_kind == kind && given_version == version) return {};
  size_t slash = given_version.find('/');
  bool core = slash == std::string_view::npos;
  const api::Type* other =
      api::find_type(core ? std::string_view() : given_version.substr(0, slash),
                     core ? given_version : given_version.substr(slash + 1), given_kind);
  std::string why = fmt::format(
      "no kind \"{}\" is registered for version \"{}\" in scheme "
      "\"pkg/api/legacyscheme/scheme.go:30\"",
      given_kind, given_version);
  if (other != nullptr) {
    Result<api::Decoded> decoded = api::decode_value(*other, patched);
    if (!decoded.ok()) why = decoded.error().message;
  }
  return refused_patch(body.shown(patched), why);
}

Result<json::Value> WriteFlow::decode_patched(json::Value patched, const PatchBody& body) {
  const api::Type& type = is_scale() ? *request_->sub->type : *resource_.type;
  patched = body.ordered(std::move(patched));
  std::string shown = body.shown(patched);
  if (!patched.empty()) TRY(check_kind(patched, body));
  Result<api::Decoded> decoded = api::decode_value(
      type, patched, body.is_strategic() ? api::ErrorWords::kConverter : api::ErrorWords::kJson);
  if (!decoded.ok()) return refused_patch(shown, decoded.error().message);
  if (body.is_strategic()) {
    std::sort(decoded->strict_errors.begin(), decoded->strict_errors.end());
  }
  std::vector<std::string> problems = body.strict_errors();
  for (std::string& p : decoded->strict_errors) problems.push_back(std::move(p));
  TRY(strict(std::move(problems), shown));
  api::apply_defaults(type, decoded->value);
  keep_reset(decoded->value, patched);
  return std::move(decoded->value);
}

Result<json::Value> WriteFlow::decode_applied(json::Value merged) {
  const api::Type& type = is_scale() ? *request_->sub->type : *resource_.type;
  Result<api::Decoded> decoded = api::decode_value(type, merged);
  if (!decoded.ok()) return refused_patch(json::write(merged), decoded.error().message);
  TRY(strict(std::move(decoded->strict_errors), json::write(merged)));
  api::apply_defaults(type, decoded->value);
  return std::move(decoded->value);
}

Result<void> WriteFlow::strict(std::vector<std::string> problems, std::string_view shown) {
  if (problems.empty()) return {};
  if (request_->validation == api::FieldValidation::kStrict) {
    return refused_patch(shown, api::strict_error_text(problems));
  }
  if (request_->validation == api::FieldValidation::kWarn) warn(std::move(problems));
  return {};
}

Result<void> WriteFlow::check_names(json::Value& object, bool name_required) const {
  json::Value& meta = meta_of(object);
  std::string_view name = meta["name"].as_string();
  std::string_view ns = meta["namespace"].as_string();
  if (name_required) {
    if (name.empty()) {
      return bad_request(fmt::format(
          "the name of the object ({} based on URL) was undeterminable: name must be provided",
          request_->name));
    }
    if (name != request_->name) {
      return bad_request(
          fmt::format("the name of the object ({}) does not match the name on the URL ({})", name,
                      request_->name));
    }
  }
  if (!resource_.namespaced) {
    meta.erase("namespace");
    return {};
  }
  if (ns.empty()) {
    meta.set("namespace", request_->ns);
  } else if (ns != request_->ns) {
    return bad_request(
        "the namespace of the provided object does not match the namespace sent on the request");
  }
  return {};
}

api::Writer WriteFlow::writer() const {
  api::Writer w;
  w.manager = request_->field_manager.empty() ? api::manager_of_user_agent(request_->user_agent)
                                              : request_->field_manager;
  w.api_version = is_scale() ? "autoscaling/v1" : resource_.api_version();
  w.subresource = request_->subresource();
  w.time = now_text_;
  w.ignored = reset_fields(resource_, request_->subresource(), strategy_.traits());
  return w;
}

}  // namespace knarr::server
