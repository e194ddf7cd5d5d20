// From the store into memory: the first load, custom resources later, then every change as it
// happens; and when the store may forget.
#include <utility>

#include "base/log.h"
#include "server/cache/cache_impl.h"

namespace knarr::server {

namespace {

constexpr const char* kBegin = "/registry/";
constexpr const char* kEnd = "/registry0";  // '0' follows '/'
constexpr int64_t kPage = 500;              // objects a range asks for: bounds the memory of a load

// What follows the prefix: "<namespace>/<name>" or "<name>".
bool parse_name(std::string_view rest, bool namespaced, NamespacedName& name) {
  size_t slash = rest.find('/');
  if (namespaced != (slash != std::string_view::npos) || rest.empty()) return false;
  if (namespaced) name.ns = rest.substr(0, slash);
  name.name = namespaced ? rest.substr(slash + 1) : rest;
  return true;
}

}  // namespace

void Cache::add_resource(ResourceSpec spec, std::function<void(Result<void>)> done) {
  CHECK(!has_resource(spec.resource) && spec.prefix.ends_with('/'));
  CHECK(impl_->by_prefix.emplace(spec.prefix, nullptr).second);
  std::string begin = spec.prefix;
  std::string end = begin.substr(0, begin.size() - 1) + '0';
  GroupResource name = spec.resource;
  auto resource = std::make_unique<Resource>(std::move(spec), impl_->options);
  resource->window.reset(impl_->revision);
  impl_->by_prefix[begin] = resource.get();
  impl_->resources[name] = std::move(resource);
  if (impl_->store_watch) impl_->load(std::move(begin), std::move(end), std::move(done));
}

void Cache::remove_resource(const GroupResource& name) {
  auto it = impl_->resources.find(name);
  if (it == impl_->resources.end()) return;
  std::unique_ptr<Resource> resource = std::move(it->second);
  impl_->resources.erase(it);
  impl_->by_prefix.erase(resource->spec.prefix);
  for (auto& watch : resource->watches) {
    if (WatchSink* sink = std::exchange(watch->sink, nullptr)) {
      sink->on_error(make_error(Code::kNotFound, "the resource " + name.resource + " is gone"));
    }
  }
}

void Cache::start(std::function<void(Result<void>)> done) {
  CHECK(!impl_->store_watch);
  impl_->store_watch = impl_->store.watch(kBegin, kEnd, 0, *impl_);
  impl_->load(kBegin, kEnd, [impl = impl_.get(), done = std::move(done)](Result<void> result) {
    if (result.ok()) {
      for (auto& [name, resource] : impl->resources) resource->window.reset(impl->revision);
      impl->list_floor = impl->mark = impl->durable_mark = impl->durable = impl->revision;
    }
    done(std::move(result));
  });
}

// Page by page of the newest state. Changes between two pages come as events, in order with the
// pages, so an object is never older than the last page that covers it.
void Cache::Impl::load(std::string begin, std::string end, std::function<void(Result<void>)> done) {
  kv::Range range{begin, end, 0, kPage};
  store.range(range,
              [weak = weak_from_this(), end, done = std::move(done)](Result<kv::RangeResult> page) {
                auto impl = weak.lock();
                if (!impl) return;
                if (!page.ok()) {
                  if (done) done(page.error());
                  return;
                }
                for (const kv::KeyValue& kv : page->kvs) impl->load_object(kv);
                if (page->more) {
                  impl->load(page->kvs.back().key + '\0', end, done);
                  return;
                }
                if (page->revision > impl->revision) impl->revision = page->revision;
                if (done) done({});
              });
}

void Cache::Impl::load_object(const kv::KeyValue& kv) {
  Resource* resource = find_by_key(kv.key);
  if (resource == nullptr) return;
  ObjectRef object = object_of(*resource, kv, nullptr);
  if (!object) return;
  ObjectRef known = resource->table.find(object->name);
  if (!known || known->revision < object->revision) resource->table.put(std::move(object));
}

// The draft of the write that made this value, if it was ours, spares parsing it.
ObjectRef Cache::Impl::object_of(const Resource& resource, const kv::KeyValue& kv,
                                 const ObjectRef& draft) {
  if (draft && draft->json == kv.value) return options.restamp(*draft, kv.mod_revision);
  Result<ObjectRef> object = options.decode(resource.spec.resource, kv.value, kv.mod_revision);
  NamespacedName name;
  std::string_view rest = std::string_view(kv.key).substr(resource.spec.prefix.size());
  if (!object.ok()) {
    base::log(base::Level::kError, "cache", "cannot read {}: {}", kv.key, object.error().message);
  } else if (!parse_name(rest, resource.spec.namespaced, name) || (*object)->name != name) {
    base::log(base::Level::kError, "cache", "cannot use {}: it holds an object named {}", kv.key,
              (*object)->name.text());
  } else {
    return std::move(*object);
  }
  return nullptr;
}

void Cache::Impl::on_events(kv::Revision at, const std::vector<kv::Event>& events) {
  CHECK(at > revision);
  revision = at;
  if (!events.front().kv.key.starts_with(kVolatilePrefix)) durable = at;
  if (!compact_timer->active()) compact_timer->start(options.compact_interval_ms);
  if (bookmark_watches > 0 && !bookmark_timer->active()) {
    bookmark_timer->start(options.bookmark_interval_ms);
  }
  auto alive = shared_from_this();
  for (const kv::Event& event : events) {
    if (Resource* resource = find_by_key(event.kv.key)) apply(*resource, event);
  }
}

void Cache::Impl::apply(Resource& resource, const kv::Event& event) {
  auto waiting = pending.find(event.kv.key);
  bool ours = waiting != pending.end() && !waiting->second.drafts.empty();
  ObjectRef object;
  ObjectRef previous;
  if (event.kind == kv::Event::Kind::kPut) {
    object = object_of(resource, event.kv, ours ? waiting->second.drafts.front() : nullptr);
    if (!object) return;
    previous = resource.table.put(object);
  } else {
    NamespacedName name;
    std::string_view rest = std::string_view(event.kv.key).substr(resource.spec.prefix.size());
    if (parse_name(rest, resource.spec.namespaced, name)) previous = resource.table.erase(name);
    if (!previous) return;
  }
  auto change = std::make_shared<const Change>(event.kv.mod_revision, object, previous);
  if (ours) waiting->second.last = change;
  resource.window.push(change);
  tell(resource, change);
}

void Cache::Impl::on_error(const Error& error) {
  // A live watch of the whole range can't fall behind a compaction.
  base::log(base::Level::kError, "cache", "the store ended its watch: {}", error.message);
  CHECK(false);
}

// Due one interval after a change: what was there the last time it was due is forgotten, so
// everything stays readable for one interval at least. Without changes it is not due again.
void Cache::Impl::compact_due() {
  for (auto& [name, resource] : resources) resource->window.trim(mark);
  list_floor = mark;
  if (durable_mark > store.compacted() && durable_mark > 1) {
    store.compact(durable_mark, [](Result<kv::Revision> compacted) {
      if (!compacted.ok()) {
        base::log(base::Level::kWarning, "cache", "compaction: {}", compacted.error().message);
      }
    });
  }
  bool again = revision > mark || durable > durable_mark;
  mark = revision;
  durable_mark = durable;
  if (again) compact_timer->start(options.compact_interval_ms);
}

}  // namespace knarr::server
