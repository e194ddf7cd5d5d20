#include "server/scheduler/queue.h"

#include <catch2/catch.hpp>

#include "base/loop.h"
#include "server/scheduler/plugin.h"

using namespace knarr;          // NOLINT
using namespace knarr::server;  // NOLINT

namespace {

PodInfoRef pod(const std::string& uid, int64_t priority) {
  auto object = std::make_shared<Object>();
  object->uid = uid;
  object->name = {"ns", uid};
  object->json = R"({"spec":{"priority":)" + std::to_string(priority) + "}}";
  return std::make_shared<const PodInfo>(object);
}

std::string popped(SchedulingQueue& queue) {
  PodInfoRef p = queue.pop();
  return p != nullptr ? p->uid() : "";
}

}  // namespace

TEST_CASE("the most important pod comes first, then the oldest") {
  base::Loop loop;
  SchedulingQueue queue(loop, [] {});
  queue.add(pod("low", 0));
  queue.add(pod("high", 10));
  queue.add(pod("low2", 0));
  CHECK(popped(queue) == "high");
  CHECK(popped(queue) == "low");
  CHECK(popped(queue) == "low2");
  CHECK(popped(queue).empty());
}

TEST_CASE("an unschedulable pod wakes on what may help, early when nothing else is to do") {
  base::Loop loop;
  int told = 0;
  SchedulingQueue queue(loop, [&] { ++told; });
  queue.add(pod("a", 0));
  popped(queue);
  queue.unschedulable("a", kNodeChange);
  queue.on_change(kVolumeChange);
  CHECK_FALSE(queue.has_next());
  told = 0;
  queue.on_change(kNodeChange);
  CHECK(told == 1);
  CHECK(queue.active() == 0);
  queue.add(pod("b", 0));
  CHECK(popped(queue) == "b");
  CHECK(popped(queue) == "a");
  queue.unschedulable("a", kNodeChange);
  queue.on_change(kNodeChange);
  CHECK(loop.run_until([&] { return queue.active() == 1; }, 4000));
}

TEST_CASE("an attempt that failed for another reason waits for its backoff") {
  base::Loop loop;
  SchedulingQueue queue(loop, [] {});
  queue.add(pod("a", 0));
  popped(queue);
  queue.retry("a");
  CHECK_FALSE(queue.has_next());
  CHECK(loop.run_until([&] { return queue.has_next(); }, 5000));
  CHECK(popped(queue) == "a");
  queue.retry("a", kNodeChange);
  CHECK_FALSE(queue.has_next());
  queue.on_change(kNodeChange);
  CHECK(popped(queue) == "a");
}

TEST_CASE("a change during the attempt is not missed") {
  base::Loop loop;
  SchedulingQueue queue(loop, [] {});
  queue.add(pod("a", 0));
  popped(queue);
  queue.on_change(kNodeChange);
  queue.unschedulable("a", kNodeChange);
  CHECK(loop.run_until([&] { return queue.active() == 1; }, 3000));
  queue.remove("a");
  CHECK(queue.size() == 0);
}
