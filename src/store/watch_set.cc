#include "store/watch_set.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "store/request_check.h"

namespace knarr::kv {

namespace {

class Handle final : public Watch {
 public:
  explicit Handle(std::shared_ptr<WatchSet::Entry> entry) : entry_(std::move(entry)) {}
  ~Handle() override { entry_->watcher = nullptr; }

 private:
  std::shared_ptr<WatchSet::Entry> entry_;
};

}  // namespace

void WatchSet::Entry::tell(Revision revision, const std::vector<Event>& events) {
  if (watcher == nullptr || revision < from) return;
  auto matches = [this](const Event& event) { return in_range(event.kv.key, begin, end); };
  auto matching = std::count_if(events.begin(), events.end(), matches);
  if (matching == 0) return;
  if (static_cast<size_t>(matching) == events.size()) {
    watcher->on_events(revision, events);
    return;
  }
  std::vector<Event> mine;
  std::copy_if(events.begin(), events.end(), std::back_inserter(mine), matches);
  watcher->on_events(revision, mine);
}

std::shared_ptr<WatchSet::Entry> WatchSet::add(std::string begin, std::string end, Revision from,
                                               Watcher& watcher, bool live) {
  auto entry =
      std::make_shared<Entry>(Entry{std::move(begin), std::move(end), from, &watcher, live});
  entries_.push_back(entry);
  return entry;
}

std::unique_ptr<Watch> WatchSet::handle(std::shared_ptr<Entry> entry) {
  return std::make_unique<Handle>(std::move(entry));
}

void WatchSet::dispatch(Revision revision, const std::vector<Event>& events) {
  ++dispatching_;
  size_t count = entries_.size();  // who comes while this is told did not ask for it
  for (size_t i = 0; i < count; ++i) {
    std::shared_ptr<Entry> entry = entries_[i];
    if (entry->live) entry->tell(revision, events);
  }
  if (--dispatching_ > 0) return;
  std::erase_if(entries_, [](const auto& entry) { return entry->watcher == nullptr; });
}

void tell_by_revision(WatchSet::Entry& entry, std::vector<Event> events) {
  for (size_t i = 0; i < events.size();) {
    Revision revision = events[i].kv.mod_revision;
    std::vector<Event> batch;
    while (i < events.size() && events[i].kv.mod_revision == revision) {
      batch.push_back(std::move(events[i++]));
    }
    entry.tell(revision, batch);
  }
}

}  // namespace knarr::kv
