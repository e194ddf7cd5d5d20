#include "base/loop.h"

#include <catch2/catch.hpp>
#include <string>
#include <thread>

#include "base/log.h"
#include "base/random.h"

using knarr::base::Loop;

TEST_CASE("posts from other threads run in order on the loop thread") {
  Loop loop;
  std::string order;
  std::thread other([&] {
    for (char c : {'a', 'b', 'c'}) loop.post([&order, c] { order += c; });
  });
  other.join();
  REQUIRE(loop.run_until([&] { return order.size() == 3; }, 5000));
  CHECK(order == "abc");
}

TEST_CASE("a timer fires once per start and may destroy itself") {
  Loop loop;
  int fired = 0;
  std::unique_ptr<knarr::Timer> timer;
  timer = loop.timer([&] {
    fired++;
    timer.reset();
  });
  timer->start(1);
  REQUIRE(loop.run_until([&] { return fired == 1; }, 5000));
  CHECK(timer == nullptr);
}

TEST_CASE("a loop ends though something in it is left open") {
  // What is left stays reachable: it is no leak that this is about.
  static void* storage = operator new(sizeof(Loop));
  auto* loop = new (storage) Loop;
  static knarr::Timer* far = loop->timer([] {}).release();
  far->start(3'600'000);
  loop->~Loop();
  CHECK(far->active());
}

TEST_CASE("uuids are version 4 and differ") {
  knarr::base::SeededRandom random(1);
  std::string a = random.uuid();
  CHECK(a.size() == 36);
  CHECK(a[14] == '4');
  CHECK(a != random.uuid());
}
