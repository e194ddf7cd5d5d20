// Blobs on disk, named by their SHA-256. A blob file exists only when its bytes were verified and
// synced: it is written as ingest/<hex>, then renamed. An ingest that a crash or a lost connection
// cut short is continued by the next one for the same digest.
//
// Any thread. Two ingests of one digest at once are the caller's to prevent (see Downloads).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "knarr/result.h"
#include "runtime/image/digest.h"

namespace knarr::runtime {

// Names (blob digests, chain ids) that must not be collected although no record has them yet.
class Leases {
 public:
  void take(const std::string& name);
  void drop(const std::string& name);
  // Runs fn, with no lease taken meanwhile, when nobody holds the name.
  bool unless_held(const std::string& name, const std::function<void()>& fn);

 private:
  std::mutex mutex_;
  std::map<std::string, int> held_;
};

// The leases of one pull or import; dropped when it is destroyed.
class LeaseSet {
 public:
  explicit LeaseSet(Leases& leases) : leases_(leases) {}
  ~LeaseSet();
  LeaseSet(const LeaseSet&) = delete;
  LeaseSet& operator=(const LeaseSet&) = delete;
  void take(const std::string& name);

 private:
  Leases& leases_;
  std::vector<std::string> names_;
};

class ContentStore;

// One blob on its way in.
class Ingest {
 public:
  Ingest(Ingest&&) = default;
  int64_t offset() const { return offset_; }               // bytes that are there already
  std::string digest() const { return hasher_.digest(); }  // of the bytes so far
  Result<void> append(std::string_view bytes);
  Result<void> restart();  // forgets what is there
  // Verifies, syncs, renames; answers the digest. kInvalid when the bytes are not those of the
  // digest that was asked for: they are dropped.
  Result<std::string> commit();

 private:
  friend class ContentStore;
  Ingest(ContentStore& store, std::string digest, std::string path)
      : store_(&store), digest_(std::move(digest)), path_(std::move(path)) {}

  ContentStore* store_;
  std::string digest_;  // empty: whatever it will be
  std::string path_;
  base::UniqueFd fd_;
  Hasher hasher_;
  int64_t offset_ = 0;
};

class ContentStore {
 public:
  explicit ContentStore(std::string root) : root_(std::move(root)) {}

  Result<void> open();
  std::string blob_path(std::string_view digest) const;
  std::string ingest_path(std::string_view digest) const;
  int64_t size(std::string_view digest) const;  // -1 when absent
  bool has(std::string_view digest) const { return size(digest) >= 0; }
  Result<Ingest> ingest(const std::string& digest);
  Result<Ingest> ingest_unnamed();  // for bytes whose digest is known only at their end
  Result<void> put(const std::string& digest, std::string_view bytes);
  // Verified again. For manifests and configs.
  Result<std::string> read(const std::string& digest, int64_t limit_bytes) const;

  // Removes blobs not in `keep` and not leased, and ingests untouched for a day.
  Result<void> collect(const std::function<bool(const std::string&)>& keep);
  void usage(uint64_t& bytes, uint64_t& inodes) const;
  Leases& leases() { return leases_; }

 private:
  std::string root_;
  Leases leases_;
  std::atomic<int> unnamed_ = 0;
};

}  // namespace knarr::runtime
