// Registry's create, update and patch: each turns its request into a transformation for WriteFlow.

#include "api/apply/managed_fields.h"
#include "api/codec/yaml.h"
#include "base/format.h"
#include "server/registry/patch_body.h"
#include "server/registry/registry.h"
#include "server/registry/subresources.h"
#include "server/registry/write_flow.h"
#include "server/status/errors.h"

namespace knarr::server {
namespace {

WriteFlow::Options scale_answer(const Request& request, WriteFlow::Options options) {
  if (request.subresource() != "scale") return options;
  const api::ResourceInfo* resource = request.resource;
  options.answer = [resource](const ObjectRef& object) {
    Answer a;
    Result<json::Value> value = json::parse(object->json);
    if (value.ok()) a.json = json::write(scale_of(*resource, *value));
    return a;
  };
  return options;
}

Result<json::Value> parse_apply(Request& request, const Body& body) {
  Result<api::YamlDocument> document = api::parse_yaml(body.bytes);
  if (!document.ok()) {
    return bad_request(fmt::format("error decoding YAML: {}", document.error().message));
  }
  json::Value& config = document->value;
  std::string version = request.resource->api_version();
  if (config["apiVersion"].as_string().empty()) {
    return bad_request("apiVersion must be set");
  }
  if (request.subresource() == "scale") {
    std::string_view given = config["apiVersion"].as_string();
    if (given != "autoscaling/v1" || config["kind"].as_string() != "Scale") {
      bool core = given.find('/') == std::string_view::npos;
      return bad_request(fmt::format("invalid object type: {}{}, Kind={}", core ? "/" : "", given,
                                     config["kind"].as_string()));
    }
  }
  bool scale = request.subresource() == "scale";
  if (!scale && (config["apiVersion"].as_string() != version ||
                 config["kind"].as_string() != request.resource->kind)) {
    return bad_request(fmt::format("object at {} and patch have different kinds", request.name));
  }
  if (config["metadata"].has("managedFields")) {
    return bad_request("metadata.managedFields must be nil");
  }
  const std::vector<std::string>& twice = document->duplicate_keys;
  if (!twice.empty() && request.validation == api::FieldValidation::kStrict) {
    std::string lines;
    for (const std::string& one : twice) lines += "\n  " + one;
    return bad_request(
        "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:" +
        lines);
  }
  if (request.validation == api::FieldValidation::kWarn) {
    request.warnings.insert(request.warnings.end(), twice.begin(), twice.end());
  }
  return std::move(config);
}

Result<void> check_patch_options(const Request& request, client::PatchType type) {
  api::ErrorList errors;
  if (type == client::PatchType::kApply) {
    if (request.field_manager.empty()) {
      errors.required(api::Path("fieldManager"), "is required for apply patch");
    }
  } else if (request.force_given) {
    errors.forbidden(api::Path("force"), "may not be specified for non-apply patch");
  }
  if (errors.empty()) return {};
  return api::invalid_error("meta.k8s.io", "PatchOptions", "", errors);
}

WriteFlow::Transform apply_transform(WriteFlow* flow, const Request& request, json::Value config) {
  const api::Type& type =
      request.subresource() == "scale" ? *request.sub->type : *request.resource->type;
  bool force = request.force;
  return [flow, &type, config = std::move(config), force](const json::Value& live,
                                                          bool exists) -> Result<json::Value> {
    json::Value mine = config;
    json::Value& meta = mine.member("metadata");
    if (!exists) meta.erase("resourceVersion");
    api::ApplyOptions options{flow->writer(), force};
    json::Value merged;
    TRY_ASSIGN(merged, api::apply_config(type, live, mine, options));
    Result<json::Value> decoded = flow->decode_applied(std::move(merged));
    if (!decoded.ok()) return std::move(decoded).error();
    TRY(flow->check_names(*decoded, true));
    return decoded;
  };
}

}  // namespace

void Registry::create(RequestPtr request, Body body, Done done) {
  if (request->sub != nullptr || !request->resource->stored) {
    return create_virtual(*this, std::move(request), std::move(body), std::move(done));
  }
  auto flow = std::make_shared<WriteFlow>(*this, std::move(request), std::move(done));
  Result<json::Value> object = flow->decode(body);
  if (!object.ok()) return flow->fail(std::move(object).error());
  Result<void> names = flow->check_names(*object, false);
  if (!names.ok()) return flow->fail(names.error());
  flow->create(*std::move(object));
}

void Registry::update(RequestPtr request, Body body, Done done) {
  auto flow = std::make_shared<WriteFlow>(*this, request, std::move(done));
  Result<json::Value> object = flow->decode(body);
  if (!object.ok()) return flow->fail(std::move(object).error());
  Result<void> names = flow->check_names(*object, true);
  if (!names.ok()) return flow->fail(names.error());

  WriteFlow::Options options;
  options.may_create = request->sub == nullptr && traits(*request->resource).create_on_update;
  Request* r = request.get();
  auto transform = [object = *std::move(object), r](const json::Value& live,
                                                    bool exists) -> Result<json::Value> {
    std::string_view uid = object["metadata"]["uid"].as_string();
    std::string_view there = live["metadata"]["uid"].as_string();
    if (!uid.empty() && uid != there) {
      return uid_conflict(*r, uid, there);
    }
    json::Value now = object;
    if (!exists) now.member("metadata").erase("resourceVersion");
    return now;
  };
  flow->modify(std::move(transform), scale_answer(*request, std::move(options)));
}

void Registry::patch(RequestPtr request, client::PatchType type, Body body, Done done) {
  auto flow = std::make_shared<WriteFlow>(*this, request, std::move(done));
  Result<void> checked = check_patch_options(*request, type);
  if (!checked.ok()) return flow->fail(checked.error());

  WriteFlow::Options options;
  if (type == client::PatchType::kApply) {
    Result<json::Value> config = parse_apply(*request, body);
    if (!config.ok()) return flow->fail(std::move(config).error());
    options.may_create = request->sub == nullptr;
    options.tracks_fields = false;
    return flow->modify(apply_transform(flow.get(), *request, *std::move(config)),
                        scale_answer(*request, std::move(options)));
  }
  Result<PatchBody> patch = PatchBody::read(type, std::move(body.bytes));
  if (!patch.ok()) return flow->fail(std::move(patch).error());
  const api::Type* kind =
      request->subresource() == "scale" ? request->sub->type : request->resource->type;
  // The flow outlives the call of its own transform: it holds it.
  WriteFlow* f = flow.get();
  auto transform = [f, kind, patch = *std::move(patch)](const json::Value& live,
                                                        bool) -> Result<json::Value> {
    json::Value patched;
    TRY_ASSIGN(patched, patch.apply(*kind, live));
    Result<json::Value> decoded = f->decode_patched(std::move(patched), patch);
    if (!decoded.ok()) return decoded;
    TRY(f->check_names(*decoded, true));
    return decoded;
  };
  flow->modify(std::move(transform), scale_answer(*request, std::move(options)));
}

}  // namespace knarr::server
