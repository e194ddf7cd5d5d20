// Reads, from the tables alone.
#include <utility>

#include "base/format.h"
#include "server/cache/cache_impl.h"
#include "server/cache/errors.h"

namespace knarr::server {

namespace {

// Collects what a list asks for, object by object in list order.
class Collector {
 public:
  Collector(const ListOptions& options, ListResult& result)
      : options_(options),
        result_(result),
        selective_(options.matches != nullptr || options.indexed.has_value()) {}

  bool add(const ObjectRef& object) {
    if (!options_.ns.empty() && object->name.ns != options_.ns) return true;
    if (options_.after && list_order(object->name, *options_.after) <= 0) return true;
    if (options_.indexed) {
      const std::string* value = object->field(options_.indexed->first);
      if (value == nullptr || *value != options_.indexed->second) return true;
    }
    // A page is cut where it is full, whether or not what follows would match.
    if (options_.limit > 0 && static_cast<int64_t>(result_.items.size()) == options_.limit) {
      result_.more = true;
      if (!selective_) ++result_.remaining;
      return !selective_;
    }
    if (options_.matches && !options_.matches(*object)) return true;
    result_.items.push_back(object);
    return true;
  }

 private:
  const ListOptions& options_;
  ListResult& result_;
  bool selective_;
};

void list_now(const Resource& resource, const ListOptions& options, ListResult& result) {
  Collector collector(options, result);
  auto visit = [&collector](const ObjectRef& object) { return collector.add(object); };
  if (options.indexed &&
      resource.table.walk_indexed(options.indexed->first, options.indexed->second, visit)) {
    return;
  }
  resource.table.walk(options.ns, options.after ? &*options.after : nullptr, visit);
}

// The current objects merged with the older states of those that changed since.
void list_at(const Resource& resource, const ListOptions& options, ListResult& result) {
  Collector collector(options, result);
  Window::Rollback older = resource.window.rollback_to(options.revision);
  auto next = older.begin();
  bool going = true;
  auto add_older_before = [&](const NamespacedName* name) {
    for (; going && next != older.end() && (!name || list_order(next->first, *name) < 0); ++next) {
      if (next->second) going = collector.add(next->second);
    }
  };
  resource.table.walk("", nullptr, [&](const ObjectRef& object) {
    add_older_before(&object->name);
    bool changed = next != older.end() && list_order(next->first, object->name) == 0;
    if (going && !changed) going = collector.add(object);
    return going;
  });
  add_older_before(nullptr);
}

}  // namespace

Error too_large_revision(kv::Revision asked, kv::Revision newest) {
  Error error = make_error(
      Code::kTimeout,
      fmt::format("Timeout: Too large resource version: {}, current: {}", asked, newest));
  auto details = std::make_shared<ErrorDetails>();
  details->causes.push_back({"ResourceVersionTooLarge", "Too large resource version", ""});
  details->retry_after_seconds = 1;
  error.details = std::move(details);
  return error;
}

ObjectRef Cache::get(const ObjectKey& key) const {
  Resource* resource = impl_->find(key.resource);
  return resource == nullptr ? nullptr : resource->table.find(key.name);
}

Result<ListResult> Cache::list(const GroupResource& name, const ListOptions& options) const {
  ListResult result;
  result.revision = impl_->revision;
  if (options.revision > impl_->revision)
    return too_large_revision(options.revision, impl_->revision);
  Resource* resource = impl_->find(name);
  if (options.revision == 0 || options.revision == impl_->revision) {
    if (resource != nullptr) list_now(*resource, options, result);
    return result;
  }
  result.revision = options.revision;
  if (options.revision < impl_->list_floor ||
      (resource != nullptr && options.revision < resource->window.start())) {
    return make_error(Code::kExpired, "The resourceVersion for the provided list is too old.");
  }
  if (resource != nullptr) list_at(*resource, options, result);
  return result;
}

void Cache::for_each(const GroupResource& name, const std::string& ns,
                     const std::function<bool(const ObjectRef&)>& visit) const {
  if (Resource* resource = impl_->find(name)) resource->table.walk(ns, nullptr, visit);
}

void Cache::for_each_owned(
    const std::string& owner_uid,
    const std::function<void(const GroupResource&, const ObjectRef&)>& visit) const {
  for (const auto& entry : impl_->resources) {
    entry.second->table.walk_owned(owner_uid, [&](const ObjectRef& object) {
      visit(entry.first, object);
      return true;
    });
  }
}

size_t Cache::count(const GroupResource& name) const {
  Resource* resource = impl_->find(name);
  return resource == nullptr ? 0 : resource->table.size();
}

}  // namespace knarr::server
