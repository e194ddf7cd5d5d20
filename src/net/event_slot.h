// Holds a stream's events, which may be replaced or dropped from within one of themselves: a
// function that runs keeps itself alive.
#pragma once

#include <memory>
#include <utility>

namespace knarr::net {

template <typename Events>
class EventSlot {
 public:
  void set(Events events) { current_ = std::make_shared<Events>(std::move(events)); }
  void clear() { current_ = nullptr; }

  // Calls the member if it is there. Nothing of this object is touched after the call.
  template <typename Member, typename... Args>
  void call(Member member, Args&&... args) {
    std::shared_ptr<Events> keep = current_;
    if (keep && (*keep).*member) ((*keep).*member)(std::forward<Args>(args)...);
  }

 private:
  std::shared_ptr<Events> current_;
};

}  // namespace knarr::net
