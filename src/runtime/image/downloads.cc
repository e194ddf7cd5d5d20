#include "runtime/image/downloads.h"

namespace knarr::runtime {

Result<void> Downloads::ensure(const std::string& digest, CancelToken& cancel,
                               const std::function<Result<void>()>& fetch) {
  // The hook takes the lock, so that no waiter misses it between its look and its sleep.
  int hook = cancel.add_hook([this] {
    std::lock_guard lock(mutex_);
    changed_.notify_all();
  });
  Result<void> result;
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return busy_.count(digest) == 0 || cancel.cancelled(); });
    if (cancel.cancelled()) {
      result = make_error(Code::kCanceled, "context canceled");
    } else {
      busy_.insert(digest);
    }
  }
  cancel.remove_hook(hook);
  if (!result.ok()) return result;
  if (!content_.has(digest)) result = fetch();
  std::lock_guard lock(mutex_);
  busy_.erase(digest);
  changed_.notify_all();
  return result;
}

}  // namespace knarr::runtime
