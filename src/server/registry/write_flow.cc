#include "server/registry/write_flow.h"

#include "api/apply/scale_fields.h"
#include "api/codec/decode.h"
#include "api/codec/encode.h"
#include "api/object.h"
#include "api/schema/defaults.h"
#include "api/validation/warnings.h"
#include "base/format.h"
#include "base/time.h"
#include "server/auth/refusal.h"
#include "server/registry/convert.h"
#include "server/registry/subresources.h"
#include "server/status/errors.h"

namespace knarr::server {
namespace {

constexpr int kNameAttempts = 8;
constexpr size_t kGeneratedBase = 58;  // 63 characters less the suffix

json::Value& meta_of(json::Value& object) { return object.member("metadata"); }

void copy_or_erase(json::Value& to, const json::Value& from, std::string_view key) {
  const json::Value* v = from.find(key);
  if (v == nullptr || v->is_null()) {
    to.erase(key);
  } else {
    to.set(key, *v);
  }
}

}  // namespace

WriteFlow::WriteFlow(Registry& registry, RequestPtr request, Done done)
    : registry_(registry),
      request_(std::move(request)),
      done_(std::move(done)),
      resource_(*request_->resource),
      stored_(storage_of(resource_)),
      strategy_(registry.strategy(resource_)),
      now_text_(base::format_time(registry.deps_.clock.now_us())) {}

StrategyContext WriteFlow::context() {
  return StrategyContext{*request_,
                         registry_.deps_.cache,
                         registry_.deps_.clock,
                         registry_.deps_.random,
                         now_text_,
                         request_->warnings,
                         undo_};
}

api::ValidationTarget WriteFlow::target() const {
  return {resource_.group, stored_.version, stored_.kind, stored_.namespaced};
}

AdmissionRequest WriteFlow::admission(Operation operation, json::Value* object,
                                      const json::Value* old) {
  AdmissionRequest a;
  a.operation = operation;
  a.resource = &resource_;
  a.subresource = request_->subresource();
  a.ns = request_->ns;
  a.name = operation == Operation::kCreate ? (*object)["metadata"]["name"].text() : request_->name;
  a.user = request_->user;
  a.dry_run = request_->dry_run;
  a.object = object;
  a.old = old;
  a.warnings = &request_->warnings;
  return a;
}

void WriteFlow::warn(std::vector<std::string> warnings) {
  for (std::string& w : warnings) request_->warnings.push_back(std::move(w));
}

void WriteFlow::undo() {
  for (auto it = undo_.rbegin(); it != undo_.rend(); ++it) (*it)();
  undo_.clear();
}

void WriteFlow::fail(Error error) {
  undo();
  done_(std::move(error));
}

// The cache says only what went wrong; clients hear it in the words of the API.
Error WriteFlow::worded(Error error) const {
  std::string_view group = resource_.group;
  std::string_view plural = resource_.plural;
  switch (error.code) {
    case Code::kAlreadyExists: {
      Error e = already_exists(group, plural, request_->name);
      if (!base_.empty()) {
        auto details = std::make_shared<ErrorDetails>(*e.details);
        details->retry_after_seconds = 1;
        e.details = std::move(details);
        e.message += ", the server was not able to generate a unique name for the object";
      }
      ObjectRef there = registry_.deps_.cache.get(key_of(*request_));
      if (there != nullptr && there->deleting) e.message = "object is being deleted: " + e.message;
      return e;
    }
    case Code::kNotFound: return not_found(group, plural, request_->name);
    case Code::kConflict: return conflict(group, plural, request_->name, kObjectModified);
    default: return error;
  }
}

void WriteFlow::answer(int code, ObjectRef object) {
  Answer a;
  if (options_.answer) {
    a = options_.answer(object);
  } else {
    a.code = code;
    a.object = std::move(object);
  }
  done_(std::move(a));
}

// --- Create ---

void WriteFlow::create(json::Value object) {
  Result<Prepared> prepared = prepare_create(std::move(object));
  if (!prepared.ok()) return fail(std::move(prepared).error());
  store_new(std::make_shared<Prepared>(*std::move(prepared)), 1);
}

Result<WriteFlow::Prepared> WriteFlow::prepare_create(json::Value object) {
  std::string_view version = meta_of(object)["resourceVersion"].as_string();
  versioned_ = version.find_first_not_of('0') != std::string_view::npos &&
               version.find_first_not_of("0123456789") == std::string_view::npos;
  meta_of(object).erase("resourceVersion");
  strategy_.decoded(object);
  for (const char* key : {"deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"}) {
    meta_of(object).erase(key);
  }
  if (options_.tracks_fields) {
    api::update_managed_fields(*resource_.type, json::Value::object(), object, writer());
  }
  object = convert(resource_, stored_, std::move(object));

  AdmissionRequest request = admission(Operation::kCreate, &object, nullptr);
  TRY(registry_.deps_.admission.mutate(request));

  json::Value& meta = meta_of(object);
  meta.set("uid", registry_.deps_.random.uuid());
  meta.set("creationTimestamp", now_text_);
  std::string base = meta["generateName"].text();
  bool generated = meta["name"].as_string().empty() && !base.empty();
  if (generated) {
    meta.set("name", base.substr(0, kGeneratedBase) + registry_.deps_.random.suffix(5));
  }
  base_ = base;
  request_->name = meta["name"].text();
  const Traits& traits = strategy_.traits();
  if (traits.generation && traits.generation_at_create) meta.set("generation", 1);
  if (!traits.keeps_status && stored_.subresource("status") != nullptr) object.erase("status");

  StrategyContext ctx = context();
  strategy_.prepare_create(ctx, object);
  request_->name = meta_of(object)["name"].text();
  TRY(strategy_.allocate(ctx, object, nullptr));
  api::ErrorList errors = api::validate_create(target(), object);
  if (!errors.empty()) {
    return api::invalid_error(stored_.group, stored_.kind, request_->name, errors);
  }
  warn(api::warnings_of(target(), object, json::Value()));
  if (request_->name.empty()) {
    errors.required(api::Path("metadata") / "name", "name or generateName is required");
    return api::invalid_error(stored_.group, stored_.kind, "", errors);
  }
  TRY(may_create());
  request.name = request_->name;
  TRY(registry_.deps_.admission.validate(request));
  Prepared out;
  out.draft = api::make_object(stored_, object, 0);
  if (generated) out.value = std::move(object);
  return out;
}

// Who may change objects may not for that make new ones by changing what is not there.
Result<void> WriteFlow::may_create() const {
  if (!options_.may_create || registry_.deps_.authorizer == nullptr || !request_->user) return {};
  Attributes a;
  a.user = request_->user;
  a.verb = "create";
  a.resource_request = true;
  a.group = resource_.group;
  a.version = resource_.version;
  a.resource = resource_.plural;
  a.ns = request_->ns;
  a.name = request_->name;
  Decision decision = registry_.deps_.authorizer->authorize(a);
  if (decision.allowed) return {};
  return refusal(a, decision);
}

void WriteFlow::store_new(std::shared_ptr<Prepared> prepared, int attempts) {
  ObjectKey key = key_of(*request_);
  if (request_->dry_run) {
    if (registry_.deps_.cache.get(key) != nullptr) {
      return fail(worded(make_error(Code::kAlreadyExists, "")));
    }
    undo();
    return answer(201, prepared->draft);
  }
  if (versioned_) {
    return fail(
        make_error(Code::kUnknown, "resourceVersion should not be set on objects to be created"));
  }
  server::WriteOptions options;
  options.ttl_ms = strategy_.traits().ttl_ms;
  registry_.deps_.cache.create(
      key, prepared->draft, options,
      [self = shared_from_this(), prepared, attempts](Result<ObjectRef> stored) {
        if (stored.ok()) return self->answer(201, *std::move(stored));
        bool generated = !prepared->value.is_null();
        if (stored.error().code == Code::kAlreadyExists && generated && attempts < kNameAttempts) {
          json::Value& meta = meta_of(prepared->value);
          std::string base = meta["generateName"].text().substr(0, kGeneratedBase);
          self->request_->name = base + self->registry_.deps_.random.suffix(5);
          meta.set("name", self->request_->name);
          prepared->draft = api::make_object(self->stored_, prepared->value, 0);
          return self->store_new(prepared, attempts + 1);
        }
        self->fail(self->worded(std::move(stored).error()));
      });
}

// --- Change ---

void WriteFlow::modify(Transform transform, Options options) {
  transform_ = std::move(transform);
  options_ = std::move(options);
  registry_.deps_.cache.when_idle(key_of(*request_), [self = shared_from_this()] { self->turn(); });
}

void WriteFlow::turn() {
  ObjectRef current = registry_.deps_.cache.get(key_of(*request_));
  if (current == nullptr) {
    if (!options_.may_create) {
      return fail(not_found(resource_.group, resource_.plural, request_->name));
    }
    Result<json::Value> object = transform_(json::Value::object(), false);
    if (!object.ok()) return fail(std::move(object).error());
    return create(*std::move(object));
  }
  Result<json::Value> old = json::parse(current->json);
  if (!old.ok()) return fail(internal_error(old.error().message));
  Result<json::Value> now = changed_object(current, *old);
  if (!now.ok()) return fail(std::move(now).error());
  store_change(current, *old, *std::move(now));
}

Result<void> WriteFlow::check_versions(const json::Value& now, const ObjectRef& current) const {
  std::string_view version = now["metadata"]["resourceVersion"].as_string();
  if (!version.empty() && version != "0") {
    for (char c : version) {
      if (c < '0' || c > '9') {
        return make_error(
            Code::kUnknown,
            fmt::format("strconv.ParseUint: parsing {}: invalid syntax", api::go_quote(version)));
      }
    }
    if (version != std::to_string(current->revision)) {
      return conflict(resource_.group, resource_.plural, request_->name, kObjectModified);
    }
    return {};
  }
  if (strategy_.traits().unconditional_update) return {};
  api::ErrorList errors;
  errors.invalid(api::Path("metadata") / "resourceVersion", 0, "must be specified for an update");
  return api::invalid_error(resource_.group, resource_.kind, request_->name, errors);
}

// Works on the Scale that the object shows, and carries its replicas and their owners back.
Result<void> WriteFlow::change_scale(json::Value& now, const json::Value& live,
                                     const ObjectRef& current) {
  std::string version = resource_.api_version();
  const json::Value& entries = live["metadata"]["managedFields"];
  json::Value before = scale_of(resource_, live);
  json::Value own = api::scale_entries(entries, version);
  if (!own.empty()) before.member("metadata").set("managedFields", std::move(own));
  json::Value scale;
  TRY_ASSIGN(scale, transform_(before, true));
  TRY(check_versions(scale, current));
  if (options_.tracks_fields) {
    api::update_managed_fields(*request_->sub->type, before, scale, writer());
  }
  api::ErrorList errors = api::validate_subresource(target(), "scale", scale, live);
  if (!errors.empty()) return api::invalid_error("autoscaling", "Scale", request_->name, errors);
  now.member("spec").set("replicas", scale["spec"]["replicas"].as_int());
  json::Value merged = api::parent_entries(entries, scale["metadata"]["managedFields"], version);
  if (merged.empty()) {
    meta_of(now).erase("managedFields");
  } else {
    meta_of(now).set("managedFields", std::move(merged));
  }
  return {};
}

Result<json::Value> WriteFlow::changed_object(const ObjectRef& current,
                                              const json::Value& live_stored) {
  json::Value live = convert(stored_, resource_, live_stored);
  json::Value now;
  if (is_scale()) {
    now = live;
    TRY(change_scale(now, live, current));
  } else {
    TRY_ASSIGN(now, transform_(live, true));
    TRY(check_versions(now, current));
  }
  strategy_.decoded(now);
  if (options_.tracks_fields && !is_scale()) {
    api::update_managed_fields(*resource_.type, live, now, writer());
  }
  now = convert(resource_, stored_, std::move(now));
  AdmissionRequest request = admission(Operation::kUpdate, &now, &live_stored);
  TRY(registry_.deps_.admission.mutate(request));
  prepare_change(now, live_stored);
  TRY(admit_and_validate(now, live_stored));
  return now;
}

// What this endpoint may not touch is taken back from the live object.
void WriteFlow::prepare_change(json::Value& now, const json::Value& old) {
  StrategyContext ctx = context();
  if (is_status()) {
    json::Value status = now["status"];
    json::Value meta = now["metadata"];
    if (!strategy_.traits().metadata_of_status) {
      json::Value fields = meta["managedFields"];
      meta = old["metadata"];
      meta.set("managedFields", std::move(fields));
    }
    json::Value merged = old;
    merged.set("metadata", std::move(meta));
    merged.set("status", std::move(status));
    now = std::move(merged);
    strategy_.prepare_status(ctx, now, old);
  } else if (request_->sub != nullptr && !is_scale()) {
    strategy_.prepare_subresource(ctx, request_->subresource(), now, old);
  } else {
    if (stored_.subresource("status") != nullptr) copy_or_erase(now, old, "status");
    strategy_.prepare_update(ctx, now, old);
  }
  finish_meta(now, old);
}

void WriteFlow::finish_meta(json::Value& now, const json::Value& old) const {
  json::Value& meta = meta_of(now);
  const json::Value& before = old["metadata"];
  copy_or_erase(meta, before, "creationTimestamp");
  copy_or_erase(meta, before, "selfLink");
  copy_or_erase(meta, before, "generation");
  if (meta["uid"].as_string().empty()) copy_or_erase(meta, before, "uid");
  for (const char* key : {"deletionTimestamp", "deletionGracePeriodSeconds"}) {
    if (!before[key].is_null()) meta.set(key, before[key]);
  }
  copy_or_erase(meta, before, "resourceVersion");
  api::canonicalize(*stored_.type, now);
  const Traits& traits = strategy_.traits();
  bool counts = traits.generation && traits.generation_counts && !is_status();
  if (counts && strategy_.changed(now, old)) {
    meta_of(now).set("generation", before["generation"].as_int() + 1);
  }
}

Result<void> WriteFlow::admit_and_validate(json::Value& now, const json::Value& old) {
  StrategyContext ctx = context();
  if (request_->sub == nullptr) TRY(strategy_.allocate(ctx, now, &old));
  api::ErrorList errors;
  if (is_status()) {
    errors = api::validate_status_update(target(), now, old);
  } else if (request_->sub != nullptr && !is_scale()) {
    errors = api::validate_subresource(target(), request_->subresource(), now, old);
  } else {
    errors = api::validate_update(target(), now, old);
  }
  if (!errors.empty()) {
    return api::invalid_error(stored_.group, stored_.kind, request_->name, errors);
  }
  if (is_status()) {
    warn(api::status_warnings(target(), now));
  } else if (request_->sub == nullptr || is_scale()) {
    warn(api::warnings_of(target(), now, old));
  }
  return registry_.deps_.admission.validate(admission(Operation::kUpdate, &now, &old));
}

void WriteFlow::store_change(const ObjectRef& current, const json::Value& old, json::Value now) {
  api::keep_times_of_noop(old, now);
  ObjectRef draft = api::make_object(stored_, now, 0);
  const json::Value& meta = now["metadata"];
  bool finished = !old["metadata"]["deletionTimestamp"].is_null() && meta["finalizers"].empty() &&
                  old["metadata"]["deletionGracePeriodSeconds"].as_int() == 0 &&
                  (stored_.plural != "namespaces" || now["spec"]["finalizers"].empty());
  if (request_->dry_run) {
    undo();
    return answer(200, api::with_revision(*draft, current->revision));
  }
  if (finished) return remove_finished(current, old, std::move(now));
  if (api::with_resource_version(draft->json, current->revision) == current->json) {
    undo();
    return answer(200, current);
  }
  server::WriteOptions options;
  options.ttl_ms = strategy_.traits().ttl_ms;
  auto before = std::make_shared<json::Value>(old);
  auto after = std::make_shared<json::Value>(std::move(now));
  registry_.deps_.cache.update(
      key_of(*request_), current->revision, std::move(draft), options,
      [self = shared_from_this(), before, after](Result<ObjectRef> stored) {
        if (!stored.ok()) return self->fail(self->worded(std::move(stored).error()));
        if (self->request_->sub == nullptr) self->strategy_.updated(*after, *before);
        self->answer(200, *std::move(stored));
      });
}

// The last finalizer is gone: the update is the deletion.
void WriteFlow::remove_finished(const ObjectRef& current, const json::Value& old, json::Value now) {
  auto before = std::make_shared<json::Value>(old);
  ObjectRef shown = api::make_object(stored_, now, current->revision);
  registry_.deps_.cache.remove(
      key_of(*request_), current->revision,
      [self = shared_from_this(), before, shown](Result<ObjectRef> removed) {
        if (!removed.ok()) return self->fail(self->worded(std::move(removed).error()));
        self->undo();  // what the update was given: nobody has it now
        self->strategy_.deleted(*before);
        self->answer(200, shown);
      });
}

}  // namespace knarr::server
