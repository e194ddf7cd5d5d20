// Deletion: preconditions, the finalizers that a propagation policy stands for, grace, and then the
// object's end, now or when its last finalizer goes.

#include <algorithm>

#include "api/object.h"
#include "base/format.h"
#include "base/time.h"
#include "server/registry/convert.h"
#include "server/registry/registry.h"
#include "server/status/errors.h"

namespace knarr::server {
namespace {

using json::Value;

constexpr std::string_view kOrphan = "orphan";
constexpr std::string_view kForeground = "foregroundDeletion";

bool has_finalizer(const Value& meta, std::string_view name) {
  for (const Value& f : meta["finalizers"].elements()) {
    if (f.as_string() == name) return true;
  }
  return false;
}

enum class Dependents { kLeave, kOrphan, kForeground };

// What the options, then the object, then the kind say shall become of dependents.
Dependents dependents_of(const DeleteOptions& options, const Value& meta, GcPolicy policy) {
  if (policy == GcPolicy::kUnsupported) return Dependents::kLeave;
  if (options.orphan_dependents) {
    return *options.orphan_dependents ? Dependents::kOrphan : Dependents::kLeave;
  }
  if (options.propagation) {
    if (*options.propagation == "Orphan") return Dependents::kOrphan;
    if (*options.propagation == "Foreground") return Dependents::kForeground;
    return Dependents::kLeave;
  }
  if (has_finalizer(meta, kOrphan)) return Dependents::kOrphan;
  if (has_finalizer(meta, kForeground)) return Dependents::kForeground;
  return policy == GcPolicy::kOrphan ? Dependents::kOrphan : Dependents::kLeave;
}

// Says whether the finalizers changed.
bool set_finalizers(Value& meta, Dependents dependents) {
  Value wanted = Value::array();
  for (const Value& f : meta["finalizers"].elements()) {
    if (f.as_string() != kOrphan && f.as_string() != kForeground) wanted.push_back(f);
  }
  if (dependents == Dependents::kOrphan) wanted.push_back(kOrphan);
  if (dependents == Dependents::kForeground) wanted.push_back(kForeground);
  const Value& have = meta["finalizers"];
  if (have.size() == wanted.size()) {
    bool same = true;
    for (const Value& w : wanted.elements()) same = same && has_finalizer(meta, w.as_string());
    if (same) return false;
  }
  if (wanted.empty()) {
    meta.erase("finalizers");
  } else {
    meta.set("finalizers", std::move(wanted));
  }
  return true;
}

void mark_deleting(Value& meta, int64_t now_us, int64_t grace_seconds) {
  meta.set("deletionTimestamp", base::format_time(now_us + grace_seconds * 1000000));
  meta.set("deletionGracePeriodSeconds", grace_seconds);
  if (meta["generation"].as_int() > 0) meta.set("generation", meta["generation"].as_int() + 1);
}

}  // namespace

class DeleteFlow : public std::enable_shared_from_this<DeleteFlow> {
 public:
  DeleteFlow(Registry& registry, RequestPtr request, DeleteOptions options, Done done)
      : registry_(registry),
        request_(std::move(request)),
        options_(std::move(options)),
        done_(std::move(done)),
        stored_(storage_of(*request_->resource)),
        strategy_(registry.strategy(*request_->resource)) {}

  void run() {
    registry_.deps_.cache.when_idle(key_of(*request_),
                                    [self = shared_from_this()] { self->turn(); });
  }

 private:
  void turn() {
    ObjectRef current = registry_.deps_.cache.get(key_of(*request_));
    if (current == nullptr) {
      return done_(
          not_found(request_->resource->group, request_->resource->plural, request_->name));
    }
    Result<Value> parsed = json::parse(current->json);
    if (!parsed.ok()) return done_(internal_error(parsed.error().message));
    Result<void> may = check(*parsed, current);
    if (!may.ok()) return done_(may.error());
    if (stored_.plural == "namespaces" && stored_.group.empty()) {
      return remove_namespace(current, *std::move(parsed));
    }
    remove(current, *std::move(parsed));
  }

  Result<void> check(const Value& object, const ObjectRef& current) {
    AdmissionRequest admission;
    admission.operation = Operation::kDelete;
    admission.resource = request_->resource;
    admission.ns = request_->ns;
    admission.name = request_->name;
    admission.user = request_->user;
    admission.dry_run = request_->dry_run;
    admission.old = &object;
    admission.warnings = &request_->warnings;
    TRY(registry_.deps_.admission.mutate(admission));
    TRY(registry_.deps_.admission.validate(admission));

    std::string version = std::to_string(current->revision);
    bool is_namespace = stored_.plural == "namespaces" && stored_.group.empty();
    if (options_.uid && *options_.uid != current->uid) {
      if (is_namespace) {
        return conflict("", "namespaces", request_->name,
                        fmt::format("Precondition failed: UID in precondition: {}, UID in object "
                                    "meta: {}",
                                    *options_.uid, current->uid));
      }
      return conflict(stored_.group, stored_.kind, request_->name,
                      fmt::format("the UID in the precondition ({}) does not match the UID in "
                                  "record ({}). The object might have been deleted and then "
                                  "recreated",
                                  *options_.uid, current->uid));
    }
    if (options_.resource_version && *options_.resource_version != version) {
      return conflict(stored_.group, stored_.kind, request_->name,
                      fmt::format("the ResourceVersion in the precondition ({}) does not match the "
                                  "ResourceVersion in record ({}). The object might have been "
                                  "modified",
                                  *options_.resource_version, version));
    }
    return {};
  }

  void remove(const ObjectRef& current, Value object) {
    Value& meta = object.member("metadata");
    Dependents dependents = dependents_of(options_, meta, strategy_.traits().gc);
    bool deleting = !meta["deletionTimestamp"].is_null();
    if (strategy_.traits().graceful) {
      int64_t grace = strategy_.grace_seconds(object, options_.grace_period_seconds);
      int64_t running = meta["deletionGracePeriodSeconds"].as_int();
      if (deleting && (!options_.grace_period_seconds || grace >= running)) {
        return pending(current, object);
      }
      if (deleting) {
        shorten(meta, running, grace);
      } else {
        mark_deleting(meta, registry_.deps_.clock.now_us(), grace);
      }
      set_finalizers(meta, dependents);
      bool gone = grace == 0 && meta["finalizers"].empty();
      return write(current, std::move(object), gone);
    }
    bool changed = set_finalizers(meta, dependents);
    if (meta["finalizers"].empty()) return erase(current, object);
    if (!deleting) mark_deleting(meta, registry_.deps_.clock.now_us(), 0);
    if (deleting && !changed) return accepted(current);
    write(current, std::move(object), false);
  }

  // A deletion with grace that runs already and is not shortened by this one.
  void pending(const ObjectRef& current, const Value& object) {
    bool gone = object["metadata"]["finalizers"].empty() &&
                object["metadata"]["deletionGracePeriodSeconds"].as_int() == 0;
    if (gone) return erase(current, object);
    accepted(current);
  }

  // The end moves forward by what is asked for less, but not into the past; what is still to end by
  // itself gets a second for it.
  void shorten(Value& meta, int64_t running, int64_t grace) const {
    int64_t now_us = registry_.deps_.clock.now_us();
    Result<int64_t> due = base::parse_time(meta["deletionTimestamp"].as_string());
    int64_t end_us = due.ok() ? *due - (running - grace) * 1000000 : now_us;
    if (end_us < now_us) {
      end_us = now_us;
      grace = std::min<int64_t>(grace, 1);
    }
    meta.set("deletionTimestamp", base::format_time(end_us));
    meta.set("deletionGracePeriodSeconds", grace);
  }

  void remove_namespace(const ObjectRef& current, Value object) {
    Value& meta = object.member("metadata");
    if (meta["deletionTimestamp"].is_null()) {
      mark_deleting(meta, registry_.deps_.clock.now_us(), 0);
      meta.erase("deletionGracePeriodSeconds");
      set_finalizers(meta, dependents_of(options_, meta, GcPolicy::kBackground));
      object.member("status").set("phase", "Terminating");
      return write(current, std::move(object), false);
    }
    if (!object["spec"]["finalizers"].empty() || !meta["finalizers"].empty()) {
      return accepted(current);
    }
    erase(current, object);
  }

  // Stores the object as one that is going away; when nothing holds it, removes it after that.
  void write(const ObjectRef& current, Value object, bool then_erase) {
    ObjectRef draft = api::make_object(stored_, object, 0);
    if (request_->dry_run) {
      ObjectRef shown = api::with_revision(*draft, current->revision);
      return then_erase ? gone(shown) : accepted(shown);
    }
    registry_.deps_.cache.update(key_of(*request_), current->revision, std::move(draft), {},
                                 [self = shared_from_this(), object = std::move(object),
                                  then_erase](Result<ObjectRef> stored) {
                                   if (!stored.ok()) return self->failed(std::move(stored).error());
                                   if (then_erase) return self->erase(*stored, object);
                                   self->accepted(*stored);
                                 });
  }

  void erase(const ObjectRef& current, const Value& object) {
    if (request_->dry_run) return gone(current);
    registry_.deps_.cache.remove(
        key_of(*request_), current->revision,
        [self = shared_from_this(), current, object](Result<ObjectRef> removed) {
          if (!removed.ok()) return self->failed(std::move(removed).error());
          self->strategy_.deleted(object);
          self->gone(*removed);
        });
  }

  void failed(Error error) {
    if (error.code == Code::kConflict && !options_.resource_version) return run();
    if (error.code == Code::kNotFound) {
      error = not_found(request_->resource->group, request_->resource->plural, request_->name);
    }
    done_(std::move(error));
  }

  void accepted(const ObjectRef& object) {
    Answer a;
    a.code = options_.orphan_dependents && !*options_.orphan_dependents ? 202 : 200;
    a.object = object;
    done_(std::move(a));
  }

  void gone(const ObjectRef& last) {
    Answer a;
    if (strategy_.traits().returns_deleted) {
      a.object = last;
    } else {
      a.json = success_json(request_->resource->group, request_->resource->plural, request_->name,
                            last->uid);
    }
    done_(std::move(a));
  }

  Registry& registry_;
  RequestPtr request_;
  DeleteOptions options_;
  Done done_;
  const api::ResourceInfo& stored_;
  const Strategy& strategy_;
};

namespace {

void warn_of_orphans(Request& request, const DeleteOptions& options) {
  if (request.resource->group != "batch" || request.resource->plural != "jobs") return;
  if (options.propagation || options.orphan_dependents) return;
  request.warnings.push_back(
      "child pods are preserved by default when jobs are deleted; set "
      "propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress "
      "this "
      "warning");
}

Result<void> check_options(const DeleteOptions& options) {
  api::ErrorList errors;
  if (options.orphan_dependents && options.propagation) {
    errors.invalid(api::Path("propagationPolicy"), json::Value(*options.propagation),
                   "orphanDependents and deletionPropagation cannot be both set");
  }
  if (options.propagation && *options.propagation != "Orphan" &&
      *options.propagation != "Background" && *options.propagation != "Foreground") {
    errors.not_supported(api::Path("propagationPolicy"), json::Value(*options.propagation),
                         {"Background", "Foreground", "Orphan", "nil"});
  }
  if (errors.empty()) return {};
  return api::invalid_error("meta.k8s.io", "DeleteOptions", "", errors);
}

}  // namespace

void Registry::remove(RequestPtr request, Body body, Done done) {
  Result<DeleteOptions> options = parse_delete_options(body);
  if (!options.ok()) return done(std::move(options).error());
  Result<void> checked = check_options(*options);
  if (!checked.ok()) return done(checked.error());
  request->dry_run = request->dry_run || options->dry_run;
  warn_of_orphans(*request, *options);
  std::make_shared<DeleteFlow>(*this, std::move(request), *std::move(options), std::move(done))
      ->run();
}

void Registry::remove_collection(RequestPtr request, Body body, const ListQuery& query, Done done) {
  Result<DeleteOptions> options = parse_delete_options(body);
  if (!options.ok()) return done(std::move(options).error());
  Result<void> checked = check_options(*options);
  if (!checked.ok()) return done(checked.error());
  request->dry_run = request->dry_run || options->dry_run;
  warn_of_orphans(*request, *options);
  Result<ListPage> page = list(*request, query);
  if (!page.ok()) return done(std::move(page).error());

  struct Run {
    ListPage page;
    std::string items;
    size_t left = 0;
    bool failed = false;
    Done done;
  };
  auto run = std::make_shared<Run>();
  run->page = *std::move(page);
  run->left = run->page.items.size() + 1;
  run->done = std::move(done);
  const api::ResourceInfo* resource = request->resource;
  auto finish = [run, resource](Result<Answer> answer) {
    if (!answer.ok() && answer.error().code != Code::kNotFound && !run->failed) {
      run->failed = true;
      run->done(std::move(answer).error());
    }
    if (--run->left > 0 || run->failed) return;
    Answer a;
    a.json = "{\"kind\":\"" + std::string(resource->list_kind) + "\",\"apiVersion\":\"" +
             resource->api_version() + "\",\"metadata\":{\"resourceVersion\":\"" +
             std::to_string(run->page.revision) + "\"},\"items\":[" + run->items + "]}";
    run->done(std::move(a));
  };
  for (const ObjectRef& object : run->page.items) {
    if (!run->items.empty()) run->items += ',';
    run->items += item_json(*resource, *object);
  }
  std::vector<ObjectRef> items = run->page.items;
  for (const ObjectRef& object : items) {
    auto one = std::make_shared<Request>(*request);
    one->ns = object->name.ns;
    one->name = object->name.name;
    DeleteOptions mine = *options;
    std::make_shared<DeleteFlow>(*this, one, std::move(mine), finish)->run();
  }
  finish(Answer{});
}

}  // namespace knarr::server
