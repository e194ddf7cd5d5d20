// Blobs on their way in, each by one thread however many want it. Blocks; any thread.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <set>
#include <string>

#include "knarr/result.h"
#include "runtime/image/cancel.h"
#include "runtime/image/content.h"

namespace knarr::runtime {

class Downloads {
 public:
  explicit Downloads(ContentStore& content) : content_(content) {}

  // Returns when the blob is there. If another thread is at it, waits for that; if that one fails,
  // fetches it itself.
  Result<void> ensure(const std::string& digest, CancelToken& cancel,
                      const std::function<Result<void>()>& fetch);

 private:
  ContentStore& content_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::string> busy_;  // guarded by mutex_
};

}  // namespace knarr::runtime
