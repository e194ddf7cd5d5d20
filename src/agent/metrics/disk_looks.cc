#include "agent/metrics/disk_looks.h"

#include <sys/statvfs.h>

#include <mutex>
#include <utility>

#include "runtime/image/files.h"

namespace knarr::agent {

// What the thread and the loop share.
struct DiskLooks::Work {
  std::vector<Path> paths;
  std::mutex mutex;  // of what follows
  Found found;       // of the first paths
  bool enough = false;
};

struct DiskLooks::Look {
  std::shared_ptr<Work> work = std::make_shared<Work>();
  std::vector<size_t> places;  // of the paths that are looked at, in `found`
  Found found;
  Done done;
  std::optional<Path> stuck;
  std::unique_ptr<Timer> timer;
};

std::optional<DiskUse> DiskLooks::look_at_disk(const Path& path) {
  struct statvfs st;
  if (statvfs(path.path.c_str(), &st) != 0) return std::nullopt;
  DiskUse use;
  use.capacity_bytes = st.f_blocks * st.f_frsize;
  use.available_bytes = st.f_bavail * st.f_frsize;
  use.used_bytes = (st.f_blocks - st.f_bfree) * st.f_frsize;
  use.inodes = st.f_files;
  use.inodes_free = st.f_ffree;
  use.inodes_used = st.f_files - st.f_ffree;
  if (!path.files) return use;
  use.used_bytes = use.inodes_used = 0;
  runtime::add_tree_usage(path.path, use.used_bytes, use.inodes_used);
  return use;
}

DiskLooks::DiskLooks(Offload& offload, Clock& clock, LookAt look_at)
    : offload_(offload), clock_(clock), look_at_(std::move(look_at)) {}

DiskLooks::~DiskLooks() { *alive_ = false; }

void DiskLooks::look(const std::vector<Path>& paths, Done done) {
  auto look = std::make_shared<Look>();
  look->found.resize(paths.size());
  look->done = std::move(done);
  std::erase_if(late_, [now_ms = clock_.monotonic_ms()](const auto& late) {
    return now_ms - late.second.at_ms > kLateMs;
  });
  for (size_t i = 0; i < paths.size(); i++) {
    auto late = late_.find(paths[i]);
    if (late != late_.end()) {
      look->found[i] = late->second.use;
      late_.erase(late);
    } else if (stuck_.count(paths[i]) == 0) {
      look->places.push_back(i);
      look->work->paths.push_back(paths[i]);
    }
  }
  if (look->places.empty() || stuck_.size() >= kMostStuck) {
    return look->done(std::move(look->found));
  }
  std::weak_ptr<bool> alive = alive_;
  look->timer = clock_.timer([this, weak = std::weak_ptr<Look>(look)] {
    if (LookRef look = weak.lock()) give_up(look);
  });
  look->timer->start(kPatienceMs);
  auto work = [work = look->work, look_at = look_at_]() -> Result<void> {
    for (const Path& path : work->paths) {
      std::optional<DiskUse> use = look_at(path);
      std::lock_guard lock(work->mutex);
      work->found.push_back(use);
      if (work->enough) break;
    }
    return {};
  };
  offload_.run("", work, [this, alive, look](const Result<void>&) {
    if (!alive.expired()) ended(look);
  });
}

void DiskLooks::give_up(const LookRef& look) {
  {
    std::lock_guard lock(look->work->mutex);
    look->work->enough = true;
    const Found& found = look->work->found;
    for (size_t i = 0; i < found.size(); i++) look->found[look->places[i]] = found[i];
    // All were just found: it is about to end.
    if (found.size() < look->places.size()) look->stuck = look->work->paths[found.size()];
  }
  if (look->stuck) stuck_.insert(*look->stuck);
  std::exchange(look->done, nullptr)(std::move(look->found));
}

void DiskLooks::ended(const LookRef& look) {
  look->timer.reset();
  const Found& found = look->work->found;
  if (look->stuck) {
    stuck_.erase(stuck_.find(*look->stuck));
    late_[*look->stuck] = {found.back(), clock_.monotonic_ms()};
  }
  if (!look->done) return;
  for (size_t i = 0; i < found.size(); i++) look->found[look->places[i]] = found[i];
  std::exchange(look->done, nullptr)(std::move(look->found));
}

}  // namespace knarr::agent
