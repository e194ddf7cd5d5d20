// The inside of the cache, shared by its files: loading and events (cache_load.cc), reads
// (cache_read.cc), writes (cache_write.cc), watches (watch_hub.cc).
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "server/cache/cache.h"
#include "server/cache/table.h"
#include "server/cache/window.h"

namespace knarr::server {

// A watch as the cache sees it; the handle its owner holds shares it.
struct WatchState {
  WatchOptions options;
  GroupResource resource;
  WatchSink* sink = nullptr;  // null: ended
  kv::Revision after = 0;     // changes up to here come before the watch
  kv::Revision told = 0;      // the last revision a call named
  bool started = false;

  bool shows(const ObjectRef& object) const;
  // past: the change was there before the watch started.
  void tell(const std::shared_ptr<const Change>& change, const Restamp& restamp, bool past);
};

struct Resource {
  Resource(ResourceSpec s, const CacheOptions& options)
      : spec(std::move(s)),
        table(spec.indexed_fields),
        window(options.window_changes, options.window_bytes) {}

  ResourceSpec spec;
  Table table;
  Window window;
  std::vector<std::shared_ptr<WatchState>> watches;
};

// What is under way for one key.
struct PendingKey {
  int in_flight = 0;
  std::deque<ObjectRef> drafts;  // of the writes the store has, oldest first; null: a delete
  std::shared_ptr<const Change> last;
  std::deque<std::function<void()>> turns;
  bool running_turn = false;
};

struct Cache::Impl final : kv::Watcher, std::enable_shared_from_this<Cache::Impl> {
  Impl(kv::Store& s, Clock& c, CacheOptions o);

  // Loading and events.
  void load(std::string begin, std::string end, std::function<void(Result<void>)> done);
  void load_object(const kv::KeyValue& kv);
  void loaded(kv::Revision at);
  void on_events(kv::Revision at, const std::vector<kv::Event>& events) override;
  void on_error(const Error& error) override;
  void apply(Resource& resource, const kv::Event& event);
  ObjectRef object_of(const Resource& resource, const kv::KeyValue& kv, const ObjectRef& draft);
  void compact_due();

  Resource* find(const GroupResource& name) const;
  Resource* find_by_key(std::string_view key) const;

  // Writes.
  struct WriteRequest {
    std::string key;
    kv::Revision expected = 0;
    kv::Op::Kind kind = kv::Op::Kind::kPut;
    ObjectRef draft;
    int64_t ttl_ms = 0;
    WriteCallback done;
  };
  void write(const ObjectKey& key, WriteRequest request);
  void write_leased(WriteRequest request);
  void submit(WriteRequest request, int64_t lease);
  void finish(const std::string& key, const WriteCallback& done, Result<ObjectRef> result);
  void run_turns(const std::string& key);

  // Watches.
  void tell(Resource& resource, const std::shared_ptr<const Change>& change);
  void start(std::shared_ptr<WatchState> watch);
  void bookmarks_due();

  kv::Store& store;
  Clock& clock;
  CacheOptions options;
  kv::Revision revision = 0;
  std::map<GroupResource, std::unique_ptr<Resource>> resources;
  std::map<std::string, Resource*, std::less<>> by_prefix;
  std::unique_ptr<kv::Watch> store_watch;

  std::unordered_map<std::string, PendingKey> pending;
  struct SharedLease {
    int64_t lease = 0;  // 0: being granted
    int64_t granted_ms = 0;
    std::vector<WriteRequest> waiting;
  };
  std::map<int64_t, SharedLease> leases;  // by ttl_ms

  // Reads at a revision below this are kExpired, whatever the windows still hold.
  kv::Revision list_floor = 0;
  kv::Revision mark = 0;          // revision when compaction was last due
  kv::Revision durable_mark = 0;  // newest change on disk at that time
  kv::Revision durable = 0;       // newest change on disk
  std::unique_ptr<Timer> compact_timer;
  std::unique_ptr<Timer> bookmark_timer;
  int bookmark_watches = 0;
};

Error expired_watch(kv::Revision asked, kv::Revision oldest);

}  // namespace knarr::server
