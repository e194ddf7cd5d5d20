#include "runtime/image/content.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "base/format.h"
#include "base/log.h"
#include "runtime/image/files.h"

namespace knarr::runtime {

namespace {

constexpr time_t kKeepIngestSeconds = 24 * 3600;
constexpr std::string_view kUnnamed = "unnamed-";

}  // namespace

void Leases::take(const std::string& name) {
  std::lock_guard lock(mutex_);
  ++held_[name];
}

void Leases::drop(const std::string& name) {
  std::lock_guard lock(mutex_);
  auto it = held_.find(name);
  CHECK(it != held_.end());
  if (--it->second == 0) held_.erase(it);
}

bool Leases::unless_held(const std::string& name, const std::function<void()>& fn) {
  std::lock_guard lock(mutex_);
  if (held_.count(name) != 0) return false;
  fn();
  return true;
}

LeaseSet::~LeaseSet() {
  for (const std::string& name : names_) leases_.drop(name);
}

void LeaseSet::take(const std::string& name) {
  leases_.take(name);
  names_.push_back(name);
}

Result<void> Ingest::append(std::string_view bytes) {
  hasher_.update(bytes);
  offset_ += static_cast<int64_t>(bytes.size());
  return write_all(fd_.get(), bytes, path_);
}

Result<void> Ingest::restart() {
  if (ftruncate(fd_.get(), 0) != 0 || lseek(fd_.get(), 0, SEEK_SET) != 0) {
    return errno_error(errno, "truncate " + path_);
  }
  hasher_ = Hasher();
  offset_ = 0;
  return {};
}

Result<std::string> Ingest::commit() {
  std::string digest = hasher_.digest();
  if (!digest_.empty() && digest != digest_) {
    unlink(path_.c_str());
    return make_error(Code::kInvalid, fmt::format("unexpected commit digest {}, expected {}: "
                                                  "failed precondition",
                                                  digest, digest_));
  }
  if (fsync(fd_.get()) != 0) return errno_error(errno, "sync " + path_);
  std::string blob = store_->blob_path(digest);
  if (rename(path_.c_str(), blob.c_str()) != 0) return errno_error(errno, "rename " + path_);
  TRY(sync_directory(blob.substr(0, blob.rfind('/'))));
  return digest;
}

Result<void> ContentStore::open() {
  TRY(make_directories(root_ + "/blobs/sha256"));
  TRY(make_directories(root_ + "/ingest"));
  for (const std::string& name : names_in(root_ + "/ingest")) {
    if (name.starts_with(kUnnamed)) unlink((root_ + "/ingest/" + name).c_str());
  }
  return {};
}

std::string ContentStore::blob_path(std::string_view digest) const {
  return root_ + "/blobs/sha256/" + std::string(digest_hex(digest));
}

std::string ContentStore::ingest_path(std::string_view digest) const {
  return root_ + "/ingest/" + std::string(digest_hex(digest));
}

int64_t ContentStore::size(std::string_view digest) const {
  struct stat st;
  return stat(blob_path(digest).c_str(), &st) == 0 ? static_cast<int64_t>(st.st_size) : -1;
}

Result<Ingest> ContentStore::ingest(const std::string& digest) {
  Ingest ingest(*this, digest, ingest_path(digest));
  ingest.fd_.reset(::open(ingest.path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!ingest.fd_.valid()) return errno_error(errno, "create " + ingest.path_);
  std::string buffer(1 << 16, 0);
  for (;;) {
    ssize_t n = ::read(ingest.fd_.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(errno, "read " + ingest.path_);
    if (n == 0) return ingest;
    ingest.hasher_.update(std::string_view(buffer.data(), static_cast<size_t>(n)));
    ingest.offset_ += n;
  }
}

Result<Ingest> ContentStore::ingest_unnamed() {
  Ingest ingest(*this, "", fmt::format("{}/ingest/{}{}", root_, kUnnamed, ++unnamed_));
  ingest.fd_.reset(::open(ingest.path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!ingest.fd_.valid()) return errno_error(errno, "create " + ingest.path_);
  return ingest;
}

Result<void> ContentStore::put(const std::string& digest, std::string_view bytes) {
  if (has(digest)) return {};
  // Not the digest's own ingest: a download may be writing to that.
  TRY_ASSIGN(Ingest ingest, ingest_unnamed());
  ingest.digest_ = digest;
  TRY(ingest.append(bytes));
  TRY(ingest.commit());
  return {};
}

Result<std::string> ContentStore::read(const std::string& digest, int64_t limit_bytes) const {
  TRY_ASSIGN(std::string bytes, read_file(blob_path(digest), limit_bytes));
  if (digest_of(bytes) != digest) {
    return make_error(Code::kInternalError, "blob " + digest + " is damaged on disk");
  }
  return bytes;
}

Result<void> ContentStore::collect(const std::function<bool(const std::string&)>& keep) {
  for (const std::string& hex : names_in(root_ + "/blobs/sha256")) {
    std::string digest = "sha256:" + hex;
    if (keep(digest)) continue;
    leases_.unless_held(digest, [&] { unlink((root_ + "/blobs/sha256/" + hex).c_str()); });
  }
  for (const std::string& name : names_in(root_ + "/ingest")) {
    std::string path = root_ + "/ingest/" + name;
    struct stat st;
    if (name.starts_with(kUnnamed) || stat(path.c_str(), &st) != 0) continue;
    if (time(nullptr) - st.st_mtime < kKeepIngestSeconds) continue;
    leases_.unless_held("sha256:" + name, [&] { unlink(path.c_str()); });
  }
  return {};
}

void ContentStore::usage(uint64_t& bytes, uint64_t& inodes) const {
  add_tree_usage(root_, bytes, inodes);
}

}  // namespace knarr::runtime
