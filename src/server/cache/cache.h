// The object cache: every object of the API in memory, the only user of kv::Store. Reads are
// answered from here, writes pass through here, watchers hang here. Loop thread.
//
// Truth is the store. The cache changes only by events of the store's watch, so it never shows what
// is not durable, and its revision order is the store's. For one write the order is: store event ->
// objects and indexes -> watchers -> the writer's callback.
//
// Keys: ResourceSpec::prefix + "<namespace>/<name>" ("/registry/pods/" + "default/web-1"). LIST
// order is etcd's: bytes of "<namespace>/<name>".
//
// Each resource keeps a window of its last changes, bounded in count and bytes: watches resume in
// it, and reads at an older revision (pages of a list) are the current state rolled back through
// it. What lies before the window is kExpired.
//
// Heartbeats cost no disk write: keys under kVolatilePrefix are handed to the store as volatile
// (see kv_store.h). They share the one revision sequence and vanish with the process.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "knarr/clock.h"
#include "knarr/kv_store.h"
#include "knarr/object.h"
#include "server/cache/watch.h"

namespace knarr::server {

// Give it to the store's options: node leases are memory only.
inline constexpr const char* kVolatilePrefix = "/registry/leases/kube-node-lease/";

// One stored resource. Resources that share storage (events in two groups) are one spec.
struct ResourceSpec {
  GroupResource resource;
  std::string prefix;  // ends in '/', no other resource's prefix begins with it
  bool namespaced = true;
  std::vector<std::string> indexed_fields;  // paths in Object::fields that look-ups use
};

struct CacheOptions {
  // Stored JSON (no resourceVersion) -> object (api::make_object_from_json).
  std::function<Result<ObjectRef>(const GroupResource& resource, std::string_view json,
                                  kv::Revision revision)>
      decode;
  Restamp restamp;                    // api::with_revision
  size_t window_changes = 2000;       // per resource
  size_t window_bytes = 1024 * 1024;  // per resource, JSON that only the window holds
  int64_t compact_interval_ms = 5 * 60 * 1000;
  int64_t bookmark_interval_ms = 60 * 1000;
};

struct ListOptions {
  std::string ns;     // empty: all
  Predicate matches;  // null: all
  // Narrows by an indexed field {"spec.nodeName", "n1"}; `matches` still applies.
  std::optional<std::pair<std::string, std::string>> indexed;
  std::optional<NamespacedName> after;  // only what follows it in list order (it may be gone)
  int64_t limit = 0;                    // 0: no limit
  kv::Revision revision = 0;            // 0: newest; else exactly the state at that revision
};

struct ListResult {
  kv::Revision revision = 0;  // what the list shows, and where a watch goes on
  std::vector<ObjectRef> items;
  bool more = false;      // the limit cut it; items.back()->name is the next `after`
  int64_t remaining = 0;  // how many follow; counted only when there is no selector
};

struct WriteOptions {
  int64_t ttl_ms = 0;  // the object is deleted after about this time (Events); 0: never
};

using WriteCallback = std::function<void(Result<ObjectRef>)>;

class Cache {
 public:
  // The store outlives the cache. Callbacks of writes that are in flight when the cache is
  // destroyed do not come.
  Cache(kv::Store& store, Clock& clock, CacheOptions options);
  ~Cache();
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  // Before start(): a table entry. Later (custom resources): the objects are loaded first; until
  // `done` the resource is empty to readers.
  void add_resource(ResourceSpec spec, std::function<void(Result<void>)> done = nullptr);
  // Ends its watches; what is stored stays.
  void remove_resource(const GroupResource& resource);
  bool has_resource(const GroupResource& resource) const;

  // Loads everything. Objects that do not decode are logged, left in the store and not shown.
  void start(std::function<void(Result<void>)> done);

  // The newest revision shown. A read that asks for a newer one asks for a future that may not be.
  kv::Revision revision() const;

  // --- Reads. Unknown resources are empty. ---
  ObjectRef get(const ObjectKey& key) const;  // null: absent
  Result<ListResult> list(const GroupResource& resource, const ListOptions& options) const;
  // In list order; `visit` returns false to stop and must not write synchronously.
  void for_each(const GroupResource& resource, const std::string& ns,
                const std::function<bool(const ObjectRef&)>& visit) const;
  // All objects with an ownerReference to this uid, of every resource.
  void for_each_owned(
      const std::string& owner_uid,
      const std::function<void(const GroupResource&, const ObjectRef&)>& visit) const;
  size_t count(const GroupResource& resource) const;

  // --- Writes: one compare-and-swap each. Exact in any pipelining: the store compares in order.
  // --- `draft` is the object without revision (Object::revision 0, no resourceVersion in its
  // JSON); its JSON is what is stored. The callback has the object as stored. Errors say only their
  // code in words of this layer; wording for clients is the registry's:
  //   create: kAlreadyExists. update, remove: kConflict (now another revision), kNotFound.
  //   any: what kv::Store::txn may answer.
  void create(const ObjectKey& key, ObjectRef draft, WriteOptions options, WriteCallback done);
  void update(const ObjectKey& key, kv::Revision expected, ObjectRef draft, WriteOptions options,
              WriteCallback done);
  // The callback has the last state, with the revision of the deletion.
  void remove(const ObjectKey& key, kv::Revision expected, WriteCallback done);

  // Runs `turn` as soon as no write to the key is in flight (at once, if none is), first come first
  // served. A read-modify-write done inside `turn` up to its write starts from the newest state, so
  // writers that name no resourceVersion never conflict and those that do conflict exactly. Steps
  // that wait (webhooks) happen before; then a conflict is possible: ask for another turn.
  void when_idle(const ObjectKey& key, std::function<void()> turn);

  // --- Watches ---
  // kExpired: "too old resource version: X (Y)". kNotFound: no such resource. Watches from a
  // revision that has not been yet begin there.
  Result<std::unique_ptr<Watch>> watch(const GroupResource& resource, WatchOptions options,
                                       WatchSink& sink);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace knarr::server
