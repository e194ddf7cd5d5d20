#include "server/controllers/work_queue.h"

#include <catch2/catch.hpp>
#include <vector>

#include "base/loop.h"

using namespace knarr;          // NOLINT
using namespace knarr::server;  // NOLINT

TEST_CASE("backoff doubles from 5 ms to 1000 s") {
  CHECK(WorkQueue::backoff_ms(0) == 5);
  CHECK(WorkQueue::backoff_ms(1) == 10);
  CHECK(WorkQueue::backoff_ms(10) == 5120);
  CHECK(WorkQueue::backoff_ms(17) == 655360);
  CHECK(WorkQueue::backoff_ms(18) == 1000000);
  CHECK(WorkQueue::backoff_ms(60) == 1000000);
}

TEST_CASE("a key is queued once, and waits while it is busy") {
  base::Loop loop;
  std::vector<NamespacedName> seen;
  WorkQueue queue(loop, 2, [&](const NamespacedName& key) { seen.push_back(key); });
  NamespacedName a{"ns", "a"}, b{"ns", "b"}, c{"ns", "c"};
  queue.add(a);
  queue.add(a);
  queue.add(b);
  queue.add(c);
  REQUIRE(loop.run_until([&] { return seen.size() == 2; }, 1000));
  queue.add(a);  // busy: comes again when done
  queue.done(b);
  REQUIRE(loop.run_until([&] { return seen.size() == 3; }, 1000));
  CHECK(seen[2] == c);
  queue.done(a);
  queue.done(c);
  REQUIRE(loop.run_until([&] { return seen.size() == 4; }, 1000));
  CHECK(seen[3] == a);
  queue.done(a);
  CHECK(queue.idle());
}

TEST_CASE("of two due times the earlier wins") {
  base::Loop loop;
  int seen = 0;
  WorkQueue queue(loop, 1, [&](const NamespacedName&) { ++seen; });
  queue.add_after({"", "a"}, 100000);
  queue.add_after({"", "a"}, 1);
  queue.add_after({"", "a"}, 50000);
  CHECK(queue.waiting() == 1);
  REQUIRE(loop.run_until([&] { return seen == 1; }, 1000));
  CHECK(queue.waiting() == 0);
  queue.done({"", "a"});
}

TEST_CASE("failures are counted until forgotten") {
  base::Loop loop;
  WorkQueue queue(loop, 1, [](const NamespacedName&) {});
  NamespacedName a{"", "a"};
  queue.add_rate_limited(a);
  queue.add_rate_limited(a);
  CHECK(queue.failures(a) == 2);
  queue.forget(a);
  CHECK(queue.failures(a) == 0);
}
