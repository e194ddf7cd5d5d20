// Makes callbacks of a step that is over do nothing: each step begins an epoch, and a callback that
// was guarded in another one, or outlives its owner, is not called. Loop thread.
#pragma once

#include <memory>
#include <utility>

namespace knarr::agent {

class Epoch {
 public:
  void next() { ++*count_; }

  template <typename F>
  auto guarded(F fn) const {
    return [count = std::weak_ptr<int>(count_), at = *count_, fn](auto&&... args) {
      auto now = count.lock();
      if (now && *now == at) fn(std::forward<decltype(args)>(args)...);
    };
  }

 private:
  std::shared_ptr<int> count_ = std::make_shared<int>(0);
};

}  // namespace knarr::agent
