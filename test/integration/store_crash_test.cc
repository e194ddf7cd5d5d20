// kill -9 a writer at random points, again and again, and look at what it left.
//
// The writer is this program with "--write": it opens the store, says where it stands, and keeps
// several transactions in flight, each of two keys that must stay equal, over a few keys. After the
// store has answered it says so on a pipe: what stands in the pipe was acknowledged. The reader
// then opens the store itself and proves:
//  - every acknowledged write is there, or a later one to the same key;
//  - the two keys of a transaction are equal: none is half there;
//  - nothing is there that was never asked for;
//  - revisions only grow, and an acknowledged one is never given again, volatile ones included.
// KNARR_CRASH_ROUNDS sets the number of rounds; without it about 20 s are spent.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/loop.h"
#include "base/random.h"
#include "store/sqlite/sqlite_store.h"

using namespace knarr;
using namespace knarr::kv;

namespace {

constexpr int kKeys = 8;
constexpr int kInFlight = 6;

SqliteOptions options_for(const std::string& path) {
  SqliteOptions options;
  options.path = path;
  options.options.volatile_prefixes = {"/v/"};
  options.checkpoint_pages = 40;  // so that kills meet checkpoints too
  return options;
}

// Lines are below PIPE_BUF: one write, whole or not at all.
void say(const char* format, auto... args) {
  char line[128];
  int n = std::snprintf(line, sizeof line, format, args...);
  while (::write(STDOUT_FILENO, line, static_cast<size_t>(n)) < 0 && errno == EINTR) {
  }
}

// A value says which process and which of its writes it is of, and is long enough to span pages.
std::string value_of(int64_t epoch, int64_t serial, size_t size) {
  std::string value = std::to_string(epoch) + "." + std::to_string(serial) + ":";
  value.resize(std::max(size, value.size()), 'x');
  return value;
}

int64_t serial_of(const std::string& value, int64_t* epoch) {
  int64_t serial = -1;
  std::sscanf(value.c_str(), "%" SCNd64 ".%" SCNd64 ":", epoch, &serial);
  return serial;
}

class Writer {
 public:
  Writer(const std::string& path, int64_t epoch)
      : random_(static_cast<uint64_t>(epoch)), epoch_(epoch) {
    Result<std::unique_ptr<Store>> opened = open_sqlite(loop_, options_for(path));
    if (!opened.ok()) {
      std::fprintf(stderr, "%s\n", opened.error().message.c_str());
      std::exit(2);
    }
    store_ = std::move(opened).value();
    say("open %" PRId64 "\n", store_->revision());
  }

  [[noreturn]] void run() {
    for (int i = 0; i < kInFlight; ++i) next();
    loop_.run();
    std::abort();
  }

 private:
  void next() {
    int64_t serial = ++serial_;
    auto key = static_cast<int>(random_.below(kKeys));
    if (serial % 50 == 0) store_->compact(store_->revision(), [](Result<Revision>) {});
    if (serial % 5 == 0) {
      write({{}, {{Op::Kind::kPut, "/v/beat", std::to_string(serial), 0}}}, -1, serial);
      return;
    }
    std::string name = "/k/" + std::to_string(key);
    std::string value = value_of(epoch_, serial, random_.below(9000));
    write({{}, {{Op::Kind::kPut, name + "/a", value, 0}, {Op::Kind::kPut, name + "/b", value, 0}}},
          key, serial);
  }

  void write(Txn txn, int key, int64_t serial) {
    store_->txn(std::move(txn), [this, key, serial](Result<TxnResult> result) {
      if (!result.ok()) std::exit(3);
      say("ack %d %" PRId64 " %" PRId64 "\n", key, serial, result->revision);
      next();
    });
  }

  base::Loop loop_;
  base::SeededRandom random_;
  std::unique_ptr<Store> store_;
  int64_t epoch_;
  int64_t serial_ = 0;
};

struct Mark {
  int64_t epoch = 0;
  int64_t serial = 0;
  auto operator<=>(const Mark&) const = default;
};

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "FAILED: %s\n", what.c_str());
  std::exit(1);
}

class Judge {
 public:
  explicit Judge(std::string path) : path_(std::move(path)) {}

  int64_t acknowledged() const { return acknowledged_; }
  int64_t unanswered() const { return unanswered_; }

  // What one writer said before it died.
  void hear(const std::string& said, int64_t epoch) {
    for (size_t at = 0, end; (end = said.find('\n', at)) != std::string::npos; at = end + 1) {
      std::string line = said.substr(at, end - at);
      int key;
      int64_t serial, revision;
      if (std::sscanf(line.c_str(), "open %" SCNd64, &revision) == 1) {
        if (revision < newest_) fail("the revision went back: " + line);
        newest_ = revision;
      } else if (std::sscanf(line.c_str(), "ack %d %" SCNd64 " %" SCNd64, &key, &serial,
                             &revision) == 3) {
        if (revision <= newest_) fail("a revision came twice: " + line);
        newest_ = revision;
        ++acknowledged_;
        if (key >= 0) acked_[key] = std::max(acked_[key], Mark{epoch, serial});
      } else {
        fail("the writer said: " + line);
      }
    }
  }

  void inspect(int64_t epoch) {
    base::Loop loop;
    Result<std::unique_ptr<Store>> store = open_sqlite(loop, options_for(path_));
    if (!store.ok()) fail(store.error().message);
    if ((*store)->revision() < newest_) fail("the reopened store is behind what it acknowledged");
    bool done = false;
    (*store)->range({"/", "0", 0, 0}, [&](Result<RangeResult> all) {
      if (!all.ok()) fail(all.error().message);
      compare(all->kvs, epoch);
      done = true;
    });
    if (!loop.run_until([&] { return done; }, 20000)) fail("no answer to a read");
    newest_ = std::max(newest_, (*store)->revision());
  }

 private:
  void compare(const std::vector<KeyValue>& kvs, int64_t epoch) {
    std::map<std::string, const KeyValue*> by_key;
    for (const KeyValue& kv : kvs) by_key[kv.key] = &kv;
    for (int key = 0; key < kKeys; ++key) {
      std::string name = "/k/" + std::to_string(key);
      const KeyValue* a = by_key[name + "/a"];
      const KeyValue* b = by_key[name + "/b"];
      if ((a == nullptr) != (b == nullptr)) fail(name + " is half there");
      if (a == nullptr) {
        if (acked_.contains(key)) fail(name + " is lost");
        continue;
      }
      if (a->value != b->value || a->mod_revision != b->mod_revision) fail(name + " is torn");
      Mark found;
      found.serial = serial_of(a->value, &found.epoch);
      if (found.serial <= 0 || found.epoch > epoch) fail(name + " was never written");
      if (found < acked_[key]) fail(name + " has forgotten an acknowledged write");
      if (found > acked_[key]) ++unanswered_;
      acked_[key] = found;  // what was seen must stay
    }
    if (by_key.contains("/v/beat")) fail("a volatile key survived");
  }

  std::string path_;
  std::map<int, Mark> acked_;
  Revision newest_ = 1;
  int64_t acknowledged_ = 0;
  int64_t unanswered_ = 0;  // writes that were made but not answered before the kill
};

// Runs a writer for about that long, kills it, and returns what it said.
std::string run_and_kill(const char* self, const std::string& path, int64_t epoch,
                         int64_t lifetime_us) {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) fail("pipe");
  pid_t child = ::fork();
  if (child < 0) fail("fork");
  if (child == 0) {
    ::dup2(fds[1], STDOUT_FILENO);
    std::string number = std::to_string(epoch);
    ::execl(self, self, "--write", path.c_str(), number.c_str(), nullptr);
    ::_exit(127);
  }
  ::close(fds[1]);
  using Clock = std::chrono::steady_clock;
  std::string said;
  std::optional<Clock::time_point> deadline;  // counted from the first word: after that it writes
  bool killed = false;
  for (;;) {
    auto now = Clock::now();
    if (!deadline && (!said.empty() || lifetime_us < 0)) {
      deadline = now + std::chrono::microseconds(std::abs(lifetime_us));
    }
    if (!killed && deadline && now >= *deadline) {
      ::kill(child, SIGKILL);
      killed = true;
    }
    int64_t wait_ns = 5'000'000'000;
    if (!killed && deadline) wait_ns = std::chrono::nanoseconds(*deadline - now).count();
    timespec wait{wait_ns / 1'000'000'000, wait_ns % 1'000'000'000};
    pollfd p{fds[0], POLLIN, 0};
    if (::ppoll(&p, 1, &wait, nullptr) <= 0) continue;
    char buffer[65536];
    ssize_t n = ::read(fds[0], buffer, sizeof buffer);
    if (n <= 0) break;
    said.append(buffer, static_cast<size_t>(n));
  }
  ::close(fds[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!killed) fail("the writer ended by itself: status " + std::to_string(status));
  return said;
}

int judge(const char* self) {
  const char* rounds_text = std::getenv("KNARR_CRASH_ROUNDS");
  const char* seed_text = std::getenv("KNARR_CRASH_SEED");
  int64_t rounds = rounds_text != nullptr ? std::atoll(rounds_text) : INT64_MAX;
  uint64_t seed =
      seed_text != nullptr ? std::strtoull(seed_text, nullptr, 10) : base::SystemRandom().next();
  std::printf("KNARR_CRASH_SEED=%" PRIu64 "\n", seed);
  std::fflush(stdout);
  base::SeededRandom random(seed);
  std::string pattern = std::filesystem::temp_directory_path() / "knarr-crash-XXXXXX";
  std::string dir = ::mkdtemp(pattern.data());
  Judge judge(dir + "/state.db");
  auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  int64_t round = 0;
  while (round < rounds && (rounds_text != nullptr || std::chrono::steady_clock::now() < end)) {
    ++round;
    // Some die while they open the store, most while they write.
    auto lifetime_us = static_cast<int64_t>(random.below(round % 4 == 0 ? 30000 : 8000));
    if (round % 8 == 1) lifetime_us = -lifetime_us - 1;
    judge.hear(run_and_kill(self, dir + "/state.db", round, lifetime_us), round);
    if (random.below(4) != 0) judge.inspect(round);  // else the next writer recovers by itself
  }
  std::filesystem::remove_all(dir);
  std::printf("%" PRId64 " kills, %" PRId64 " acknowledged writes, %" PRId64
              " found that were not answered: all well\n",
              round, judge.acknowledged(), judge.unanswered());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 4 && std::strcmp(argv[1], "--write") == 0) {
    Writer(argv[2], std::atoll(argv[3])).run();
  }
  return judge("/proc/self/exe");
}
