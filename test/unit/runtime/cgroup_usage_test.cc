#include "runtime/cgroup_usage.h"

#include <catch2/catch.hpp>
#include <map>

using namespace knarr;
using namespace knarr::runtime;

namespace {

using Files = std::map<std::string, std::string>;

ReadGroupFile reader(const Files& files) {
  return [files](std::string_view, std::string_view file) {
    auto it = files.find(std::string(file));
    return it == files.end() ? std::string() : it->second;
  };
}

}  // namespace

TEST_CASE("what a cgroup of v2 has used") {
  Usage u = usage_of_v2(reader({
      {"cpu.stat",
       "usage_usec 5000001\nuser_usec 3000000\nsystem_usec 2000001\nnr_periods 9\n"
       "nr_throttled 4\nthrottled_usec 70\n"},
      {"memory.current", "1000000\n"},
      {"memory.peak", "1200000\n"},
      {"memory.max", "max\n"},
      {"memory.swap.current", "4096\n"},
      {"memory.events", "low 0\nhigh 0\nmax 3\noom 0\n"},
      {"memory.stat",
       "anon 700000\nfile 250000\nfile_mapped 90000\ninactive_file 200000\npgfault 11\n"
       "pgmajfault 2\n"},
      {"pids.current", "7\n"},
  }));
  CHECK(u.cpu_usage_ns == 5000001000);
  CHECK(u.cpu_user_ns == 3000000000);
  CHECK(u.cpu_system_ns == 2000001000);
  CHECK(u.cpu_periods == 9);
  CHECK(u.cpu_throttled_periods == 4);
  CHECK(u.cpu_throttled_ns == 70000);
  CHECK(u.memory_usage_bytes == 1000000);
  CHECK(u.memory_working_set_bytes == 800000);
  CHECK(u.memory_max_usage_bytes == 1200000);
  CHECK(u.memory_limit_bytes == 0);
  CHECK(u.memory_rss_bytes == 700000);
  CHECK(u.memory_cache_bytes == 250000);
  CHECK(u.memory_mapped_file_bytes == 90000);
  CHECK(u.memory_swap_bytes == 4096);
  CHECK(u.memory_failures == 3);
  CHECK(u.page_faults == 11);
  CHECK(u.major_page_faults == 2);
  CHECK(u.threads == 7);
}

TEST_CASE("what a cgroup of v1 has used") {
  Usage u = usage_of_v1(reader({
      {"cpuacct.usage", "5000001234\n"},
      {"cpuacct.stat", "user 300\nsystem 200\n"},
      {"cpu.stat", "nr_periods 9\nnr_throttled 4\nthrottled_time 70000\n"},
      {"memory.usage_in_bytes", "1000000\n"},
      {"memory.max_usage_in_bytes", "1200000\n"},
      {"memory.limit_in_bytes", "9223372036854771712\n"},
      {"memory.failcnt", "3\n"},
      {"memory.stat",
       "cache 1\nrss 2\ntotal_cache 250000\ntotal_rss 700000\ntotal_mapped_file 90000\n"
       "total_swap 4096\ntotal_pgfault 11\ntotal_pgmajfault 2\ntotal_inactive_file 1200000\n"},
      {"pids.current", "7\n"},
  }));
  CHECK(u.cpu_usage_ns == 5000001234);
  CHECK(u.cpu_user_ns == 3000000000);
  CHECK(u.cpu_system_ns == 2000000000);
  CHECK(u.cpu_throttled_ns == 70000);
  CHECK(u.memory_usage_bytes == 1000000);
  CHECK(u.memory_working_set_bytes == 0);  // the two are not read at one moment
  CHECK(u.memory_limit_bytes == 0);
  CHECK(u.memory_rss_bytes == 700000);
  CHECK(u.memory_cache_bytes == 250000);
  CHECK(u.page_faults == 11);
  CHECK(u.threads == 7);
}

TEST_CASE("a group that is gone has used nothing") {
  CHECK(usage_of_v1(reader({})).memory_working_set_bytes == 0);
  CHECK(usage_of_v2(reader({})).cpu_usage_ns == 0);
}

TEST_CASE("what went over interfaces") {
  std::vector<InterfaceUsage> found = interface_usage(
      "Inter-|   Receive                            |  Transmit\n"
      " face |bytes    packets errs drop fifo frame compressed multicast|bytes packets errs\n"
      "    lo:    1000      10    0    0    0     0          0         0     1000      10    0 0\n"
      "  eth0:12345678901   20    1    2    0     0          0         0     2000      30    3 4 "
      "0\n"
      "broken");
  REQUIRE(found.size() == 1);
  CHECK(found[0].name == "eth0");
  CHECK(found[0].rx.bytes == 12345678901);
  CHECK(found[0].rx.packets == 20);
  CHECK(found[0].rx.errors == 1);
  CHECK(found[0].rx.dropped == 2);
  CHECK(found[0].tx.bytes == 2000);
  CHECK(found[0].tx.packets == 30);
  CHECK(found[0].tx.errors == 3);
  CHECK(found[0].tx.dropped == 4);
  CHECK(interface_usage("eth0:").size() == 1);
  CHECK(interface_usage("").empty());
}
