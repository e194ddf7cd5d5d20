#include "server/registry/registry.h"

#include <algorithm>

#include "api/codec/encode.h"
#include "api/object.h"
#include "base/format.h"
#include "base/log.h"
#include "server/cache/errors.h"
#include "server/registry/component_status.h"
#include "server/registry/convert.h"
#include "server/registry/subresources.h"
#include "server/status/errors.h"

namespace knarr::server {

ObjectKey key_of(const Request& request) {
  const api::ResourceInfo& stored = storage_of(*request.resource);
  return ObjectKey{{std::string(stored.group), std::string(stored.plural)},
                   {request.resource->namespaced ? request.ns : "", request.name}};
}

std::string presented_json(const api::ResourceInfo& resource, const Object& object) {
  if (presented_as_stored(resource)) return object.json;
  Result<json::Value> value = json::parse(object.json);
  if (!value.ok()) return object.json;
  return api::encode_json(*resource.type,
                          convert(storage_of(resource), resource, *std::move(value)));
}

std::string item_json(const api::ResourceInfo& resource, const Object& object) {
  if (presented_as_stored(resource)) return "{" + object.json.substr(type_meta_size(object.json));
  std::string json = presented_json(resource, object);
  return "{" + json.substr(type_meta_size(json));
}

size_t type_meta_size(std::string_view json) {
  // {"kind":"K","apiVersion":"V","metadata":... in either order of the two.
  size_t at = 1;
  for (int i = 0; i < 2; i++) {
    std::string_view rest = json.substr(at);
    if (!rest.starts_with("\"kind\":\"") && !rest.starts_with("\"apiVersion\":\"")) break;
    size_t value = rest.find("\":\"") + 3;
    size_t end = rest.find('"', value);
    if (end == std::string_view::npos) break;
    at += end + 1;
    if (at < json.size() && json[at] == ',') at++;
  }
  return at;
}

namespace {

bool is_component_status(const api::ResourceInfo& resource) {
  return !resource.stored && resource.group.empty() && resource.plural == "componentstatuses";
}

}  // namespace

Registry::Registry(RegistryDeps deps) : deps_(std::move(deps)) {
  Result<ServiceAllocator> services = ServiceAllocator::make(deps_.services, deps_.random);
  CHECK(services.ok());
  services_ = std::make_unique<ServiceAllocator>(*std::move(services));
  records_ = std::make_unique<AddressRecords>(*this);
  rows_ = make_strategies(*services_, *records_);
  for (const api::ResourceInfo& resource : api::builtin_resources()) {
    const api::ResourceInfo& stored = storage_of(resource);
    for (const StrategyRow& row : rows_) {
      if (row.group == stored.group && row.plural == stored.plural) {
        by_resource_[&resource] = row.strategy.get();
      }
    }
  }
}

Registry::~Registry() = default;

const Strategy& Registry::strategy(const api::ResourceInfo& resource) const {
  auto it = by_resource_.find(&resource);
  return it == by_resource_.end() ? plain_ : *it->second;
}

const Traits& Registry::traits(const api::ResourceInfo& resource) const {
  return strategy(resource).traits();
}

std::vector<ResourceSpec> Registry::specs() {
  std::vector<ResourceSpec> out;
  for (const api::ResourceInfo& resource : api::builtin_resources()) {
    if (!resource.stored || &storage_of(resource) != &resource) continue;
    ResourceSpec spec;
    spec.resource = {std::string(resource.group), std::string(resource.plural)};
    spec.prefix = std::string(resource.key_prefix) + "/";
    spec.namespaced = resource.namespaced;
    if (resource.plural == "pods") spec.indexed_fields = {"spec.nodeName"};
    out.push_back(std::move(spec));
  }
  return out;
}

CacheOptions Registry::cache_options() {
  CacheOptions options;
  options.decode = [](const GroupResource& resource, std::string_view json,
                      kv::Revision revision) -> Result<ObjectRef> {
    const api::ResourceInfo* info = api::find_resource_group(resource.group, resource.resource);
    if (info == nullptr) {
      return make_error(Code::kNotFound, "no resource " + resource.resource);
    }
    return api::make_object_from_json(*info, json, revision);
  };
  options.restamp = [](const Object& object, kv::Revision revision) {
    return api::with_revision(object, revision);
  };
  return options;
}

Result<void> Registry::recover() {
  deps_.cache.for_each({"", "services"}, "", [&](const ObjectRef& object) {
    Result<json::Value> value = json::parse(object->json);
    if (value.ok()) services_->hold(*value);
    return true;
  });
  records_->repair(services_->cidrs());
  return {};
}

Result<ObjectRef> Registry::get(const Request& request) const {
  if (is_component_status(*request.resource)) {
    for (const ObjectRef& object : component_statuses()) {
      if (object->name.name == request.name) return object;
    }
    return not_found("", "componentstatus", request.name);
  }
  ObjectRef object = deps_.cache.get(key_of(request));
  if (object == nullptr) {
    return not_found(request.resource->group, request.resource->plural, request.name);
  }
  return object;
}

Result<Answer> Registry::get_subresource(const Request& request) const {
  ObjectRef object;
  TRY_ASSIGN(object, get(request));
  Answer answer;
  if (request.subresource() != "scale") {
    answer.object = std::move(object);
    return answer;
  }
  json::Value value;
  TRY_ASSIGN(value, json::parse(object->json));
  answer.json = json::write(scale_of(*request.resource, value));
  return answer;
}

Result<ListPage> Registry::list(const Request& request, const ListQuery& query) const {
  if (is_component_status(*request.resource)) {
    ListPage page;
    Predicate matches = query.predicate();
    for (const ObjectRef& object : component_statuses()) {
      if (!matches || matches(*object)) page.items.push_back(object);
    }
    return page;
  }
  if (query.revision > deps_.cache.revision()) {
    return too_large_revision(query.revision, deps_.cache.revision());
  }
  ListOptions options;
  options.ns = request.resource->namespaced ? request.ns : "";
  options.matches = query.predicate();
  bool any = query.revision_given && query.revision == 0;
  options.limit = any ? 0 : query.limit;
  if (query.exact) options.revision = query.revision;
  // A limited list at a revision shows that revision, as upstream reads it from its store.
  if (query.revision > 0 && query.limit > 0 && !query.not_older) options.revision = query.revision;
  if (query.after) {
    options.after = query.after;
    if (options.after->ns.empty() && !options.ns.empty()) options.after->ns = options.ns;
    if (query.page_revision > 0) options.revision = query.page_revision;
  }
  if (const std::string* node = query.fields.required("spec.nodeName");
      node != nullptr && request.resource->plural == "pods") {
    options.indexed = {"spec.nodeName", *node};
  }
  ObjectKey key = key_of(request);
  Result<ListResult> result = deps_.cache.list(key.resource, options);
  if (!result.ok()) {
    if (result.error().code != Code::kExpired || !query.after) return std::move(result).error();
    return make_error(
        Code::kExpired,
        "The provided continue parameter is too old to display a consistent list result. You can "
        "start a new list without the continue parameter, or use the continue token in this "
        "response to retrieve the remainder of the results. Continuing with the provided token "
        "results in an inconsistent list - objects that were created, modified, or deleted between "
        "the time the first chunk was returned and now may show up in the list.");
  }
  ListPage page;
  page.revision = result->revision;
  page.items = std::move(result->items);
  bool more = result->more;
  if (!more && options.limit > 0 && options.matches != nullptr &&
      static_cast<int64_t>(page.items.size()) == options.limit) {
    // What follows may not match: a page that is full says "more" when anything follows.
    ListOptions rest;
    rest.ns = options.ns;
    rest.after = page.items.back()->name;
    rest.limit = 1;
    rest.revision = options.revision;
    Result<ListResult> next = deps_.cache.list(key.resource, rest);
    more = next.ok() && !next->items.empty();
  }
  if (more && !page.items.empty()) {
    NamespacedName last = page.items.back()->name;
    if (!request.ns.empty()) last.ns.clear();
    page.continue_token = continue_token(page.revision, last);
    if (options.matches == nullptr) page.remaining = result->remaining;
  }
  return page;
}

Result<std::unique_ptr<Watch>> Registry::watch(const Request& request, const ListQuery& query,
                                               WatchSink& sink) {
  WatchOptions options;
  options.ns = request.resource->namespaced ? request.ns : "";
  if (const std::string* name = query.fields.required("metadata.name")) options.name = *name;
  if (!request.name.empty()) options.name = request.name;
  options.matches = query.predicate();
  options.bookmarks = query.bookmarks;
  if (query.send_initial_events) {
    options.initial_state = *query.send_initial_events;
    options.initial_bookmark = *query.send_initial_events && query.bookmarks;
    if (!*query.send_initial_events && query.revision > 0) options.from = query.revision;
  } else if (query.revision > 0) {
    options.from = query.revision;
  } else {
    options.initial_state = true;
  }
  return deps_.cache.watch(key_of(request).resource, std::move(options), sink);
}

void Registry::replace(RequestPtr request,
                       std::function<Result<json::Value>(const json::Value&)> transform,
                       Done done) {
  ObjectKey key = key_of(*request);
  const api::ResourceInfo& stored = storage_of(*request->resource);
  deps_.cache.when_idle(key, [this, key, request, &stored, transform = std::move(transform),
                              done = std::move(done)] {
    ObjectRef current = deps_.cache.get(key);
    if (current == nullptr) {
      return done(not_found(request->resource->group, request->resource->plural, request->name));
    }
    Result<json::Value> live = json::parse(current->json);
    if (!live.ok()) return done(internal_error(live.error().message));
    Result<json::Value> now = transform(*live);
    if (!now.ok()) return done(std::move(now).error());
    ObjectRef draft = api::make_object(stored, *now, 0);
    if (request->dry_run)
      return done(Answer{200, api::with_revision(*draft, current->revision), ""});
    deps_.cache.update(key, current->revision, std::move(draft), {},
                       [done](Result<ObjectRef> object) {
                         if (!object.ok()) return done(std::move(object).error());
                         done(Answer{200, *std::move(object), ""});
                       });
  });
}

Error uid_conflict(const Request& request, std::string_view wanted, std::string_view there) {
  ObjectKey key = key_of(request);
  std::string where =
      fmt::format("{}/{}", storage_of(*request.resource).key_prefix, key.name.text());
  return conflict(
      request.resource->group, request.resource->plural, request.name,
      fmt::format("StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, "
                  "AdditionalErrorMsg: Precondition failed: UID in precondition: {}, UID "
                  "in object meta: {}",
                  where, wanted, there));
}

Result<DeleteOptions> parse_delete_options(const Body& body) {
  DeleteOptions out;
  if (body.bytes.empty()) return out;
  const api::Type* type = api::find_type("meta.k8s.io", "v1", "DeleteOptions");
  api::DecodeOptions options;
  options.version = "v1";
  options.kind = "DeleteOptions";
  options.type = type;
  options.media = body.media;
  api::Decoded decoded;
  TRY_ASSIGN(decoded, api::decode_body(options, body.bytes));
  const json::Value& v = decoded.value;
  if (v.has("gracePeriodSeconds")) out.grace_period_seconds = v["gracePeriodSeconds"].as_int();
  if (v.has("propagationPolicy")) out.propagation = v["propagationPolicy"].text();
  if (v.has("orphanDependents")) out.orphan_dependents = v["orphanDependents"].as_bool();
  if (v["preconditions"].has("uid")) out.uid = v["preconditions"]["uid"].text();
  if (v["preconditions"].has("resourceVersion")) {
    out.resource_version = v["preconditions"]["resourceVersion"].text();
  }
  for (const json::Value& run : v["dryRun"].elements()) {
    out.dry_run = true;
    if (run.as_string() == "All") continue;
    api::ErrorList errors;
    errors.not_supported(api::Path("dryRun"), v["dryRun"], {"All"});
    return api::invalid_error("meta.k8s.io", "DeleteOptions", "", errors);
  }
  return out;
}

}  // namespace knarr::server
