#include "cli/dev_user.h"

#include <catch2/catch.hpp>

using namespace knarr::cli;  // NOLINT

namespace {

constexpr char kPasswd[] =
    "root:x:0:0:root:/root:/bin/bash\n"
    "short:x:5\n"
    "anna:x:1000:1000:Anna, A.:/home/anna:/bin/sh\n"
    "1000:x:1001:1001::/srv/odd:/bin/sh";

}  // namespace

TEST_CASE("a user is found by name or number") {
  CHECK(find_user(kPasswd, "anna")->home == "/home/anna");
  CHECK(find_user(kPasswd, "1000")->name == "anna");
  CHECK(find_user(kPasswd, "1001")->home == "/srv/odd");
  CHECK(!find_user(kPasswd, "short"));
  CHECK(!find_user("", "anna"));
}

TEST_CASE("a user's further ids") {
  PasswdEntry anna{"anna", "1000", "/home/anna"};
  struct Case {
    const char* text;
    uint64_t first, count;  // 0: none
  } cases[] = {
      {"anna:100000:65536\n", 100000, 65536},
      {"bert:100000:65536\nanna:165536:65536", 165536, 65536},
      {"1000:200000:1000\n", 200000, 1000},
      {"anna:100000:0\nanna:300000:5\n", 300000, 5},
      {"annas:100000:65536\n", 0, 0},
      {"anna:-1:65536\nanna:1:\nanna:1\n\n", 0, 0},
      {"", 0, 0},
  };
  for (const Case& c : cases) {
    INFO(c.text);
    auto found = find_id_range(c.text, anna);
    CHECK((found ? found->first : 0) == c.first);
    CHECK((found ? found->count : 0) == c.count);
  }
}
