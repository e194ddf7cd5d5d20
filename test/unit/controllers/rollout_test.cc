#include "server/controllers/rollout.h"

#include <catch2/catch.hpp>

#include "server/controllers/pods.h"

using namespace knarr::server;  // NOLINT
using knarr::json::Value;
using Sizes = std::vector<int64_t>;

namespace {

RolloutSpec spec(int64_t replicas, int64_t surge, int64_t unavailable) {
  RolloutSpec s;
  s.replicas = replicas;
  s.max_surge = surge;
  s.max_unavailable = unavailable;
  return s;
}

SetSize set(int64_t replicas, int64_t available, int64_t max_before = 0, int64_t created = 0) {
  SetSize s;
  s.replicas = s.existing = replicas;
  s.available = available;
  s.max_before = max_before;
  s.created_at = created;
  return s;
}

}  // namespace

TEST_CASE("surge rounds up, unavailable down, and both 0 is not allowed") {
  auto check = [](Value surge, Value unavailable, int64_t replicas, int64_t want_surge,
                  int64_t want_unavailable) {
    Value d = Value::object();
    d.member("spec").set("replicas", replicas);
    Value& rolling = d.member("spec").member("strategy").member("rollingUpdate");
    rolling.set("maxSurge", surge).set("maxUnavailable", unavailable);
    RolloutSpec s = rollout_spec(d);
    CHECK(s.max_surge == want_surge);
    CHECK(s.max_unavailable == want_unavailable);
  };
  check("25%", "25%", 3, 1, 0);
  check("25%", "25%", 10, 3, 2);
  check(0, "10%", 3, 0, 1);
  check(1, 5, 3, 1, 3);
}

TEST_CASE("the new set grows into the room there is") {
  CHECK(new_set_size(spec(3, 1, 0), 0, 3) == 1);
  CHECK(new_set_size(spec(3, 1, 0), 1, 4) == 1);
  CHECK(new_set_size(spec(3, 1, 0), 2, 3) == 3);
  CHECK(new_set_size(spec(3, 0, 1), 5, 5) == 3);
  CHECK(new_set_size(spec(3, 1, 0), 0, 0) == 3);
}

TEST_CASE("old sets shrink as availability permits, broken pods first") {
  SetSize fresh = set(1, 0);
  CHECK(old_set_sizes(spec(3, 1, 0), {set(3, 3)}, &fresh) == Sizes{3});
  fresh = set(1, 1);
  CHECK(old_set_sizes(spec(3, 1, 0), {set(3, 3)}, &fresh) == Sizes{2});
  fresh = set(0, 0);
  CHECK(old_set_sizes(spec(3, 0, 1), {set(3, 3)}, &fresh) == Sizes{2});
  fresh = set(2, 0);
  CHECK(old_set_sizes(spec(5, 2, 2), {set(2, 0), set(3, 3)}, &fresh) == Sizes{0, 3});
  // Just made smaller, it still tells of eleven: five are all that will be left.
  fresh = set(3, 0);
  CHECK(old_set_sizes(spec(5, 3, 2), {set(5, 11)}, &fresh) == Sizes{3});
}

TEST_CASE("a scale in the middle of a rollout is shared out") {
  // 10 replicas (surge 3) scaled to 15: the larger set gets the larger part.
  CHECK(proportional_sizes(spec(15, 4, 3), {set(8, 8, 13, 1), set(5, 0, 13, 2)}) == Sizes{12, 7});
  CHECK(proportional_sizes(spec(0, 0, 0), {set(8, 8, 13, 1), set(5, 0, 13, 2)}) == Sizes{0, 0});
  CHECK(proportional_sizes(spec(10, 3, 2), {set(8, 8, 13, 1), set(5, 0, 13, 2)}) == Sizes{8, 5});
}

TEST_CASE("template hashes are stable, spell nothing, and follow the collision count") {
  auto parse = [](const char* text) { return *knarr::json::parse(text); };
  Value a = parse(R"({"b": 1, "a": [1, 2]})");
  Value b = parse(R"({"a": [1, 2], "b": 1})");
  int64_t one = 1;
  CHECK(safe_hash(a, nullptr) == safe_hash(b, nullptr));
  CHECK(safe_hash(a, nullptr) != safe_hash(a, &one));
  CHECK(safe_hash(a, nullptr).find_first_not_of("bcdfghjklmnpqrstvwxz2456789") ==
        std::string::npos);
}
