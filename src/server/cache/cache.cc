#include "server/cache/cache.h"

#include <utility>

#include "server/cache/cache_impl.h"

namespace knarr::server {

Cache::Impl::Impl(kv::Store& s, Clock& c, CacheOptions o)
    : store(s),
      clock(c),
      options(std::move(o)),
      compact_timer(clock.timer([this] { compact_due(); })),
      bookmark_timer(clock.timer([this] { bookmarks_due(); })) {}

Cache::Cache(kv::Store& store, Clock& clock, CacheOptions options)
    : impl_(std::make_shared<Impl>(store, clock, std::move(options))) {}

// A handle of a watch may outlive the cache and finds it gone; nothing is told after this.
Cache::~Cache() {
  for (auto& [name, resource] : impl_->resources) {
    for (auto& watch : resource->watches) watch->sink = nullptr;
  }
}

kv::Revision Cache::revision() const { return impl_->revision; }

bool Cache::has_resource(const GroupResource& resource) const {
  return impl_->find(resource) != nullptr;
}

Resource* Cache::Impl::find(const GroupResource& name) const {
  auto it = resources.find(name);
  return it == resources.end() ? nullptr : it->second.get();
}

// No prefix begins with another one, so the only candidate is the last that is not after the key.
Resource* Cache::Impl::find_by_key(std::string_view key) const {
  auto it = by_prefix.upper_bound(key);
  if (it == by_prefix.begin()) return nullptr;
  --it;
  return key.starts_with(it->first) ? it->second : nullptr;
}

}  // namespace knarr::server
