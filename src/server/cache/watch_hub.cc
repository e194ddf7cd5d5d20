// Watches: who is told of which change, from where on. A sink may do anything to any watch while it
// is told, so lists are walked as copies or by index, and a watch's state outlives its end.
#include <algorithm>
#include <utility>

#include "base/format.h"
#include "server/cache/cache_impl.h"

namespace knarr::server {

namespace {

bool in_scope(const WatchOptions& options, const NamespacedName& name) {
  return (options.ns.empty() || options.ns == name.ns) &&
         (options.name.empty() || options.name == name.name);
}

}  // namespace

Error expired_watch(kv::Revision asked, kv::Revision oldest) {
  return make_error(Code::kExpired,
                    fmt::format("too old resource version: {} ({})", asked, oldest));
}

bool WatchState::shows(const ObjectRef& object) const {
  return object && in_scope(options, object->name) &&
         (!options.matches || options.matches(*object));
}

void WatchState::tell(const std::shared_ptr<const Change>& change, const Restamp& restamp,
                      bool past) {
  if (sink == nullptr || change->revision() <= after) return;
  if (!in_scope(options, change->name())) return;
  bool was = shows(change->previous());
  bool is = shows(change->object());
  if (!was && !is) return;
  told = change->revision();
  EventType type = !is ? EventType::kDeleted : was ? EventType::kModified : EventType::kAdded;
  sink->on_event({type, change, false, &restamp, past});
}

// What an owner holds.
class WatchHandle final : public Watch {
 public:
  WatchHandle(std::shared_ptr<WatchState> state, std::function<void(bool end)> hub)
      : state_(std::move(state)), hub_(std::move(hub)) {}
  ~WatchHandle() override {
    state_->sink = nullptr;
    hub_(true);
  }
  void start() override {
    auto hub = hub_;  // a sink that is told may destroy the handle
    hub(false);
  }

 private:
  std::shared_ptr<WatchState> state_;
  std::function<void(bool end)> hub_;
};

Result<std::unique_ptr<Watch>> Cache::watch(const GroupResource& name, WatchOptions options,
                                            WatchSink& sink) {
  Resource* resource = impl_->find(name);
  if (resource == nullptr) return make_error(Code::kNotFound, "no resource " + name.resource);
  kv::Revision from =
      options.from == WatchOptions::kNow || options.initial_state ? impl_->revision : options.from;
  if (from < resource->window.start()) return expired_watch(from, resource->window.start());
  auto state = std::make_shared<WatchState>();
  state->options = std::move(options);
  state->resource = name;
  state->sink = &sink;
  state->after = state->told = from;
  if (state->options.bookmarks) ++impl_->bookmark_watches;
  resource->watches.push_back(state);
  auto hub = [weak = std::weak_ptr<Impl>(impl_), state](bool end) {
    auto impl = weak.lock();
    if (!impl) return;
    if (!end) {
      impl->start(state);
      return;
    }
    if (state->options.bookmarks) --impl->bookmark_watches;
    if (Resource* at = impl->find(state->resource)) std::erase(at->watches, state);
  };
  return std::unique_ptr<Watch>(std::make_unique<WatchHandle>(state, std::move(hub)));
}

void Cache::Impl::start(std::shared_ptr<WatchState> watch) {
  Resource* resource = find(watch->resource);
  if (resource == nullptr || watch->started || watch->sink == nullptr) return;
  watch->started = true;
  auto alive = shared_from_this();
  if (!watch->options.initial_state) {
    if (watch->after < resource->window.start()) {
      std::exchange(watch->sink, nullptr)
          ->on_error(expired_watch(watch->after, resource->window.start()));
      return;
    }
    for (const auto& change : resource->window.since(watch->after)) {
      watch->tell(change, options.restamp, true);
      change->drop_encodings();  // the window keeps the change
    }
    return;
  }
  watch->after = watch->told = revision;
  std::vector<ObjectRef> objects;
  resource->table.walk(watch->options.ns, nullptr, [&](const ObjectRef& object) {
    if (watch->shows(object)) objects.push_back(object);
    return true;
  });
  for (const ObjectRef& object : objects) {
    if (watch->sink == nullptr) return;
    auto change = std::make_shared<const Change>(object->revision, object, nullptr);
    watch->sink->on_event({EventType::kAdded, change, true, &options.restamp, true});
  }
  if (watch->sink != nullptr && watch->options.initial_bookmark) {
    watch->sink->on_bookmark(watch->told, true);
  }
}

void Cache::Impl::tell(Resource& resource, const std::shared_ptr<const Change>& change) {
  std::vector<std::shared_ptr<WatchState>> watches = resource.watches;
  for (const auto& watch : watches) {
    if (watch->started) watch->tell(change, options.restamp, false);
  }
  change->drop_encodings();
}

void Cache::Impl::bookmarks_due() {
  std::vector<std::shared_ptr<WatchState>> behind;
  for (auto& [name, resource] : resources) {
    for (auto& watch : resource->watches) {
      if (watch->options.bookmarks && watch->started && watch->told < revision) {
        behind.push_back(watch);
      }
    }
  }
  auto alive = shared_from_this();
  kv::Revision now = revision;
  for (const auto& watch : behind) {
    if (watch->sink == nullptr || watch->told >= now) continue;
    watch->told = now;
    watch->sink->on_bookmark(now, false);
  }
}

}  // namespace knarr::server
