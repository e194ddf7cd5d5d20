// Durable puts a second into the SQLite store: 1 kB values under new keys, at 1, 16 and 64 writers,
// each waiting for its answer before it writes again. Prints the ratio to what the whole API server
// aims at, and what it cost.
//
// store_bench [directory] [seconds]
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/loop.h"
#include "base/unique_fd.h"
#include "store/sqlite/sqlite_store.h"

using namespace knarr;
using namespace knarr::kv;

namespace {

struct Goal {
  int writers;
  int puts_per_s;
};

double cpu_seconds() {
  rusage usage;
  ::getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + t.tv_usec / 1e6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

int64_t rss_kib() {
  std::ifstream statm("/proc/self/statm");
  int64_t pages = 0;
  statm >> pages >> pages;
  return pages * ::sysconf(_SC_PAGESIZE) / 1024;
}

int64_t written_bytes() {
  std::ifstream io("/proc/self/io");
  for (std::string word; io >> word;) {
    int64_t value = 0;
    io >> value;
    if (word == "write_bytes:") return value;
  }
  return 0;
}

// What the disk under the store needs for the least durable write there is.
double fdatasync_us(const std::string& path) {
  base::UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  CHECK(file.valid());
  constexpr int kTimes = 200;
  std::string page(4096, 'x');
  std::vector<double> took;
  for (int i = 0; i < kTimes; ++i) {
    auto began = std::chrono::steady_clock::now();
    CHECK(::pwrite(file.get(), page.data(), page.size(), 0) > 0);
    CHECK(::fdatasync(file.get()) == 0);
    took.push_back(
        std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - began)
            .count());
  }
  std::sort(took.begin(), took.end());
  return took[kTimes / 2];
}

class Bench {
 public:
  Bench(base::Loop& loop, Store& store) : loop_(loop), store_(store) {}

  void run(const Goal& goal, double seconds) {
    latencies_us_.clear();
    going_ = true;
    in_flight_ = 0;
    double cpu = cpu_seconds();
    int64_t bytes = written_bytes();
    int64_t began_us = loop_.now_us();
    for (int i = 0; i < goal.writers; ++i) put();
    auto end = loop_.timer([this] { going_ = false; });
    end->start(static_cast<int64_t>(seconds * 1000));
    loop_.run_until([this] { return !going_ && in_flight_ == 0; }, 60000);
    double took = static_cast<double>(loop_.now_us() - began_us) / 1e6;
    auto count = static_cast<double>(latencies_us_.size());
    std::sort(latencies_us_.begin(), latencies_us_.end());
    std::printf(
        "%3d writers: %7.0f puts/s (%.1f times the aim), p50 %lld us, p99 %lld us, max %lld us, "
        "%.0f us CPU and %.1f kB written a put, RSS %lld kB\n",
        goal.writers, count / took, count / took / goal.puts_per_s, at(0.5), at(0.99), at(1),
        (cpu_seconds() - cpu) / count * 1e6,
        static_cast<double>(written_bytes() - bytes) / count / 1024,
        static_cast<long long>(rss_kib()));
    std::fflush(stdout);
  }

 private:
  long long at(double part) const {
    auto last = static_cast<double>(latencies_us_.size() - 1);
    return latencies_us_[static_cast<size_t>(part * last)];
  }

  void put() {
    ++in_flight_;
    std::string key = "/registry/configmaps/default/bench-" + std::to_string(next_++);
    Txn txn{{{key, 0}}, {{Op::Kind::kPut, key, std::string(1000, 'v'), 0}}};
    store_.txn(std::move(txn), [this, began_us = loop_.now_us()](Result<TxnResult> result) {
      CHECK(result.ok() && result->succeeded);
      latencies_us_.push_back(loop_.now_us() - began_us);
      --in_flight_;
      if (going_) put();
    });
  }

  base::Loop& loop_;
  Store& store_;
  std::vector<int64_t> latencies_us_;
  bool going_ = false;
  int in_flight_ = 0;
  int64_t next_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  std::string parent = argc > 1 ? argv[1] : std::filesystem::temp_directory_path().string();
  double seconds = argc > 2 ? std::atof(argv[2]) : 3;
  std::string dir = parent + "/knarr-bench-XXXXXX";
  CHECK(::mkdtemp(dir.data()) != nullptr);
  {
    base::Loop loop;
    SqliteOptions options;
    options.path = dir + "/state.db";
    if (argc > 3) options.checkpoint_pages = std::atoll(argv[3]);
    if (argc > 4) options.cache_kib = std::atoll(argv[4]);
    std::unique_ptr<Store> store = std::move(open_sqlite(loop, options)).value();
    Bench bench(loop, *store);
    std::printf("fdatasync of one page: median %.0f us\n", fdatasync_us(dir + "/probe"));
    for (const Goal& goal : {Goal{1, 3000}, Goal{16, 10000}, Goal{64, 15000}}) {
      bench.run(goal, seconds);
    }
    int64_t began_us = loop.now_us();
    store.reset();
    store = std::move(open_sqlite(loop, options)).value();
    std::printf("close, check and open with %lld MB: %.0f ms\n",
                static_cast<long long>(std::filesystem::file_size(options.path) >> 20),
                static_cast<double>(loop.now_us() - began_us) / 1000);
  }
  std::filesystem::remove_all(dir);
}
