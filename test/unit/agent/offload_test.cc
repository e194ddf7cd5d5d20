#include "agent/offload.h"

#include <catch2/catch.hpp>
#include <condition_variable>
#include <mutex>

#include "base/loop.h"

using namespace knarr;
using namespace knarr::agent;

namespace {

constexpr int64_t kLimitMs = 20'000;

// Opened once, waited for by others.
class Gate {
 public:
  void open() {
    std::lock_guard<std::mutex> lock(mutex_);
    open_ = true;
    opened_.notify_all();
  }
  void wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    opened_.wait(lock, [this] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  bool open_ = false;
};

}  // namespace

TEST_CASE("work of one key keeps its order, work of others does not wait for it") {
  base::Loop loop;
  PoolOffload offload(loop, 4);
  Gate gate;
  std::string done;
  offload.run(
      "a",
      [&gate]() -> Result<void> {
        gate.wait();
        return {};
      },
      [&](const Result<void>&) { done += "1"; });
  offload.run(
      "a", []() -> Result<void> { return make_error(Code::kNotFound, "x"); },
      [&](const Result<void>& result) { done += result.ok() ? "?" : "2"; });
  for (const char* key : {"b", "", ""}) {
    offload.run(
        key, []() -> Result<void> { return {}; }, [&](const Result<void>&) { done += "b"; });
  }
  REQUIRE(loop.run_until([&] { return done.size() == 3; }, kLimitMs));
  CHECK(done == "bbb");
  gate.open();
  REQUIRE(loop.run_until([&] { return done.size() == 5; }, kLimitMs));
  CHECK(done == "bbb12");
  offload.run(
      "a", []() -> Result<void> { return {}; }, [&](const Result<void>&) { done += "3"; });
  REQUIRE(loop.run_until([&] { return done.size() == 6; }, kLimitMs));
}
