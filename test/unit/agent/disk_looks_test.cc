// Disks that answer, late or never: who asks is answered, and no threads are lost without bound.
#include "agent/metrics/disk_looks.h"

#include <catch2/catch.hpp>

#include "base/file.h"
#include "fake_services.h"
#include "temp_dir.h"

using namespace knarr;
using namespace knarr::agent;

namespace {

// Threads that go on when the test says so.
struct Threads final : Offload {
  struct Thread {
    Work work;
    Callback<void> done;
  };
  void run(const std::string& key, Work work, Callback<void> done) override {
    CHECK(key.empty());
    threads.push_back({std::move(work), std::move(done)});
  }
  void run_one() {
    Thread thread = std::move(threads.front());
    threads.erase(threads.begin());
    thread.done(thread.work());
  }
  std::vector<Thread> threads;
};

struct Disks {
  knarr::test::FakeClock clock;
  Threads threads;
  std::map<std::string, int64_t> takes_ms;  // a second each, where nothing else is said
  int looked = 0;
  DiskLooks looks{threads, clock, [this](const DiskLooks::Path& path) {
                    looked++;
                    clock.advance(takes_ms.count(path.path) ? takes_ms[path.path] : 1000);
                    DiskUse use;
                    use.used_bytes = path.path.size();
                    return path.path == "gone" ? std::nullopt : std::optional(use);
                  }};
  std::string answer;  // sizes, "-" where there is none

  void ask(const std::vector<std::string>& names) {
    std::vector<DiskLooks::Path> paths;
    for (const std::string& name : names) paths.push_back({name, false});
    answer = "waits";
    looks.look(paths, [this](const DiskLooks::Found& found) {
      CHECK(answer == "waits");
      answer.clear();
      for (const auto& use : found) answer += use ? std::to_string(use->used_bytes) : "-";
    });
  }
};

}  // namespace

TEST_CASE("what disks say comes in the order of the paths") {
  Disks d;
  d.ask({"a", "gone", "ccc"});
  CHECK(d.answer == "waits");
  d.threads.run_one();
  CHECK(d.answer == "1-3");
  d.ask({});
  CHECK(d.answer.empty());
  CHECK(d.threads.threads.empty());
}

TEST_CASE("a disk that does not answer takes its own figures away, once those after it") {
  Disks d;
  d.ask({"a", "dead", "cc"});
  d.takes_ms["dead"] = 4500;  // it is given up within that
  d.threads.run_one();
  CHECK(d.answer == "1--");
  CHECK(d.looked == 2);  // nothing more for an answer that has been given
  // What it said at last is told to the next who asks, and to no other.
  d.ask({"a", "dead", "cc"});
  d.threads.run_one();
  CHECK(d.answer == "142");
  CHECK(d.looked == 4);
  d.takes_ms.clear();
  d.ask({"dead"});
  d.threads.run_one();
  CHECK(d.looked == 5);
}

TEST_CASE("while a look hangs, nobody looks there again") {
  Disks d;
  d.ask({"dead", "a"});
  d.clock.advance(DiskLooks::kPatienceMs - 1);
  CHECK(d.answer == "waits");
  d.clock.advance(1);
  CHECK(d.answer == "--");
  Threads::Thread first = std::move(d.threads.threads[0]);
  d.threads.threads.clear();
  for (int i = 0; i < 3; i++) {
    d.ask({"dead", "a"});
    REQUIRE(d.threads.threads.size() == 1);
    d.threads.run_one();
    CHECK(d.answer == "-1");
  }
  // Others die too: from then on no thread is risked.
  d.ask({"dead", "second", "a"});
  d.clock.advance(DiskLooks::kPatienceMs);
  CHECK(d.answer == "---");
  d.threads.threads.clear();
  for (int i = 0; i < 3; i++) {
    d.ask({"a"});
    CHECK(d.answer == "-");
    CHECK(d.threads.threads.empty());
  }
  // One is alive again. What it says now is old when somebody asks in an hour.
  first.done(first.work());
  d.clock.advance(3600 * 1000);
  d.ask({"dead", "a"});
  d.threads.run_one();
  CHECK(d.answer == "41");
}

TEST_CASE("who has gone is not called") {
  Threads threads;
  knarr::test::FakeClock clock;
  {
    DiskLooks looks(threads, clock);
    looks.look({{"/", false}}, [](const DiskLooks::Found&) { FAIL("nobody is there"); });
  }
  threads.run_one();
  clock.advance(DiskLooks::kPatienceMs);
}

TEST_CASE("a disk says how full it is, or what lies below a path") {
  knarr::test::TempDir dir;
  REQUIRE(base::write_file(dir.path() + "/file", std::string(100000, 'x')).ok());
  auto disk = DiskLooks::look_at_disk({dir.path(), false});
  auto files = DiskLooks::look_at_disk({dir.path(), true});
  REQUIRE((disk && files));
  CHECK(disk->capacity_bytes == files->capacity_bytes);
  CHECK(files->used_bytes >= 100000);
  CHECK(files->used_bytes < 1000000);
  CHECK(files->inodes_used <= 2);
  CHECK_FALSE(DiskLooks::look_at_disk({dir.path() + "/absent", false}));
}
