#include "server/cache/window.h"

#include <algorithm>
#include <utility>

namespace knarr::server {

namespace {

// What a change keeps alive: the object it replaced. The new one is the table's, or the next
// change's.
size_t cost(const Change& change) {
  return sizeof(Change) + (change.previous() ? sizeof(Object) + change.previous()->json.size() : 0);
}

}  // namespace

void Window::reset(kv::Revision start) {
  changes_.clear();
  bytes_ = 0;
  start_ = start;
}

void Window::push(ChangeRef change) {
  bytes_ += cost(*change);
  changes_.push_back(std::move(change));
  while (changes_.size() > max_changes_ || (bytes_ > max_bytes_ && changes_.size() > 1)) pop();
}

void Window::trim(kv::Revision revision) {
  while (!changes_.empty() && changes_.front()->revision() <= revision) pop();
}

void Window::pop() {
  bytes_ -= cost(*changes_.front());
  start_ = changes_.front()->revision();
  changes_.pop_front();
}

std::vector<Window::ChangeRef> Window::since(kv::Revision revision) const {
  auto it = std::upper_bound(
      changes_.begin(), changes_.end(), revision,
      [](kv::Revision at, const ChangeRef& change) { return at < change->revision(); });
  return {it, changes_.end()};
}

Window::Rollback Window::rollback_to(kv::Revision revision) const {
  Rollback states;
  for (auto it = changes_.rbegin(); it != changes_.rend() && (*it)->revision() > revision; ++it) {
    states[(*it)->name()] = (*it)->previous();
  }
  return states;
}

}  // namespace knarr::server
