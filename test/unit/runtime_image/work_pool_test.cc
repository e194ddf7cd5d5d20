#include "runtime/image/work_pool.h"

#include <catch2/catch.hpp>
#include <future>
#include <optional>

using namespace knarr;
using namespace knarr::runtime;

namespace {

// Work that goes on until it is let go; how many of it there are.
struct Stuck {
  std::promise<void> go;
  std::shared_future<void> gone = go.get_future().share();
  std::promise<void> begun;

  std::function<Result<int>()> work(const std::shared_ptr<int>& held) {
    return [held, gone = gone, &begun = begun]() -> Result<int> {
      begun.set_value();
      gone.wait();
      return 7;
    };
  }
};

}  // namespace

TEST_CASE("what hangs is left behind, and touches nothing when it goes on") {
  auto held = std::make_shared<int>(1), told = std::make_shared<int>(0);
  Stuck stuck;
  {
    base::Loop loop;
    auto pool = std::make_unique<WorkPool>(loop, 1, 20);
    pool->run<int>(stuck.work(held), [told](const Result<int>&) { ++*told; });
    pool->run<int>([held] { return Result<int>(8); }, [told](const Result<int>&) { ++*told; });
    stuck.begun.get_future().wait();
    pool.reset();
    CHECK(held.use_count() == 2);  // its own alone: what waited is dropped
    CHECK(told.use_count() == 1);  // and nobody is to be told
  }
  stuck.go.set_value();
  while (held.use_count() > 1) std::this_thread::yield();
  CHECK(*told == 0);
}

TEST_CASE("work that ends in time is waited for") {
  for (int64_t patience_ms : {int64_t{60000}, WorkPool::kForever}) {
    auto held = std::make_shared<int>(1), told = std::make_shared<int>(0);
    base::Loop loop;
    auto pool = std::make_unique<WorkPool>(loop, 2, patience_ms);
    Stuck stuck;
    pool->run<int>(stuck.work(held), [told](const Result<int>&) { ++*told; });
    stuck.begun.get_future().wait();
    std::thread later([&] { stuck.go.set_value(); });
    pool.reset();
    CHECK(held.use_count() == 1);
    CHECK(told.use_count() == 1);
    later.join();
    loop.run_until([] { return true; }, 0);
    CHECK(*told == 0);
  }
}

TEST_CASE("who asked is told on the loop thread, and may end the pool then") {
  base::Loop loop;
  auto pool = std::make_unique<WorkPool>(loop, 2);
  std::optional<int> answer;
  pool->run<int>([] { return Result<int>(7); },
                 [&](Result<int> result) {
                   pool.reset();
                   answer = *result;
                 });
  REQUIRE(loop.run_until([&] { return answer.has_value(); }, 20000));
  CHECK(answer == 7);
}
