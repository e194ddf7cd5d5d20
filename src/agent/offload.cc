#include "agent/offload.h"

#include <utility>

namespace knarr::agent {

void PoolOffload::run(const std::string& key, Work work, Callback<void> done) {
  if (key.empty()) {
    pool_.run<void>(std::move(work), std::move(done));
    return;
  }
  bool idle = queues_.count(key) == 0;
  queues_[key].push_back({std::move(work), std::move(done)});
  if (idle) next(key);
}

void PoolOffload::next(const std::string& key) {
  auto it = queues_.find(key);
  if (it->second.empty()) {
    queues_.erase(it);
    return;
  }
  Job job = std::move(it->second.front());
  it->second.pop_front();
  pool_.run<void>(std::move(job.work),
                  [this, key, done = std::move(job.done)](Result<void> result) {
                    next(key);
                    done(std::move(result));
                  });
}

}  // namespace knarr::agent
