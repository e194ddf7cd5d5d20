// A cache over a store in memory, with objects written "ns/name label=.. node=.. owner=.. text".
#pragma once

#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "base/loop.h"
#include "server/cache/cache.h"
#include "store/memory/memory_store.h"

namespace knarr::server {

inline const GroupResource kPods{"", "pods"};
inline const GroupResource kNodes{"", "nodes"};
inline const GroupResource kLeases{"coordination.k8s.io", "leases"};

// The "JSON" of these tests is the line itself; a stored object's begins with "@<revision> ".
inline ObjectRef draft(const std::string& line, kv::Revision revision = 0) {
  auto object = std::make_shared<Object>();
  std::istringstream words(line);
  std::string word;
  words >> word;
  size_t slash = word.find('/');
  object->name.ns = slash == std::string::npos ? "" : word.substr(0, slash);
  object->name.name = slash == std::string::npos ? word : word.substr(slash + 1);
  while (words >> word) {
    std::string value = word.substr(word.find('=') + 1);
    if (word.starts_with("label=")) object->labels.emplace_back("app", value);
    if (word.starts_with("node=")) object->fields.emplace_back("spec.nodeName", value);
    if (word.starts_with("owner=")) object->owners.push_back({"v1", "X", "x", value, true, false});
  }
  object->revision = revision;
  object->json = revision == 0 ? line : "@" + std::to_string(revision) + " " + line;
  return object;
}

inline CacheOptions cache_options() {
  CacheOptions options;
  options.decode = [](const GroupResource&, std::string_view json,
                      kv::Revision revision) -> Result<ObjectRef> {
    if (json.starts_with("broken")) return make_error(Code::kBadRequest, "broken");
    return draft(std::string(json), revision);
  };
  options.restamp = [](const Object& object, kv::Revision revision) {
    std::string line = object.json;
    if (object.revision != 0) line = line.substr(line.find(' ') + 1);
    return draft(line, revision);
  };
  return options;
}

struct Fixture {
  base::Loop loop;
  kv::MemoryStore store;
  std::unique_ptr<Cache> cache;

  explicit Fixture(CacheOptions options = cache_options()) : store(loop, {{}, {kVolatilePrefix}}) {
    boot(std::move(options));
  }

  void boot(CacheOptions options = cache_options()) {
    cache.reset();
    cache = std::make_unique<Cache>(store, loop, std::move(options));
    cache->add_resource({kPods, "/registry/pods/", true, {"spec.nodeName"}});
    cache->add_resource({kNodes, "/registry/nodes/", false, {}});
    cache->add_resource({kLeases, "/registry/leases/", true, {}});
    bool started = false;
    cache->start([&](Result<void> result) { started = result.ok(); });
    CHECK(loop.run_until([&] { return started; }, 5000));
  }

  template <typename Ask>
  Result<ObjectRef> wait(Ask ask) {
    std::optional<Result<ObjectRef>> answer;
    ask([&answer](Result<ObjectRef> result) { answer.emplace(std::move(result)); });
    if (!loop.run_until([&] { return answer.has_value(); }, 5000)) {
      return make_error(Code::kTimeout, "no answer");
    }
    return std::move(*answer);
  }
  Result<ObjectRef> create(const GroupResource& resource, const std::string& line,
                           int64_t ttl_ms = 0) {
    ObjectRef object = draft(line);
    return wait([&](auto done) {
      cache->create({resource, object->name}, object, {ttl_ms}, done);
    });
  }
  Result<ObjectRef> update(const GroupResource& resource, kv::Revision expected,
                           const std::string& line) {
    ObjectRef object = draft(line);
    return wait([&](auto done) {
      cache->update({resource, object->name}, expected, object, {}, done);
    });
  }
  // Whatever revision it has.
  Result<ObjectRef> set(const GroupResource& resource, const std::string& line) {
    ObjectRef now = cache->get({resource, draft(line)->name});
    return now ? update(resource, now->revision, line) : create(resource, line);
  }
  Result<ObjectRef> remove(const GroupResource& resource, const std::string& name) {
    NamespacedName key = draft(name)->name;
    ObjectRef now = cache->get({resource, key});
    return wait([&](auto done) { cache->remove({resource, key}, now ? now->revision : 1, done); });
  }

  std::string names(const ListOptions& options, const GroupResource& resource = kPods) {
    Result<ListResult> list = cache->list(resource, options);
    if (!list.ok()) return "error: " + list.error().message;
    std::string out;
    for (const ObjectRef& object : list->items)
      out += (out.empty() ? "" : " ") + object->name.text();
    return out + (list->more ? " ..." + std::to_string(list->remaining) : "");
  }
};

struct Sink final : WatchSink {
  std::vector<std::string> seen;  // "ADDED @5 default/a text"
  std::optional<Error> error;
  std::function<void()> then;

  void on_event(const WatchEvent& event) override {
    const char* types[] = {"ADDED", "MODIFIED", "DELETED"};
    seen.push_back(std::string(types[static_cast<int>(event.type)]) + (event.initial ? "* " : " ") +
                   event.object()->json);
    if (then) then();
  }
  void on_bookmark(kv::Revision revision, bool initial_end) override {
    seen.push_back("BOOKMARK" + std::string(initial_end ? "* " : " ") + std::to_string(revision));
  }
  void on_error(const Error& e) override { error = e; }
};

using Seen = std::vector<std::string>;

}  // namespace knarr::server
