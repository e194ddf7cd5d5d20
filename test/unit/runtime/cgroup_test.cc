#include "runtime/cgroup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "runtime/init.h"

using namespace knarr;
using namespace knarr::runtime;

TEST_CASE("shares become weights") {
  CHECK(cpu_weight(2) == 1);
  CHECK(cpu_weight(102) == 4);
  CHECK(cpu_weight(1024) == 39);
  CHECK(cpu_weight(262144) == 10000);
  CHECK(cpu_weight(0) == 1);
}

TEST_CASE("resources as files of either version") {
  Resources r;
  r.cpu_shares = 1024;
  r.cpu_quota_us = 20000;
  r.cpu_period_us = 100000;
  r.memory_limit_bytes = 1 << 20;
  r.memory_swap_limit_bytes = 1 << 20;
  r.pids_limit = 10;
  r.unified["memory.high"] = "5";
  CHECK(v1_writes(r) ==
        std::vector<CgroupWrite>{{"cpu", "cpu.shares", "1024"},
                                 {"cpu", "cpu.cfs_period_us", "100000"},
                                 {"cpu", "cpu.cfs_quota_us", "20000"},
                                 {"memory", "memory.limit_in_bytes", "1048576"},
                                 {"memory", "memory.memsw.limit_in_bytes", "1048576"},
                                 {"pids", "pids.max", "10"}});
  CHECK(v2_writes(r) == std::vector<CgroupWrite>{{"cpu", "cpu.weight", "39"},
                                                 {"cpu", "cpu.max", "20000 100000"},
                                                 {"memory", "memory.max", "1048576"},
                                                 {"memory", "memory.swap.max", "0"},
                                                 {"pids", "pids.max", "10"},
                                                 {"memory", "memory.high", "5"}});
  CHECK(v1_writes(Resources()).empty());
  CHECK(v2_writes(Resources()).empty());
}

TEST_CASE("hierarchies are found in mountinfo") {
  CgroupMounts hybrid = parse_cgroup_mounts(
      "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
      "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:5 - cgroup cgroup rw,cpu,cpuacct\n"
      "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
      "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n"
      "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
  REQUIRE(hybrid.v1.size() == 2);
  CHECK(hybrid.v1[0].options == "cpu,cpuacct");
  CHECK(hybrid.v1[0].mount_point == "/sys/fs/cgroup/cpu,cpuacct");
  CHECK(hybrid.unified == "/sys/fs/cgroup/unified");
  CgroupMounts v2 =
      parse_cgroup_mounts("35 24 0:30 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw\n");
  CHECK(v2.v1.empty());
  CHECK(v2.unified == "/sys/fs/cgroup");
}

TEST_CASE("device rules as text, and as a program of sane size") {
  DeviceRule any{'b', -1, 3, "m"};
  CHECK(any.text() == "b *:3 m");
  std::vector<DeviceRule> rules = device_rules({{'c', 10, 229, "rw"}});
  CHECK(rules.back().text() == "c 10:229 rw");
  CHECK(device_program(rules).size() < 4096);
  CHECK(device_program({}).size() == 8);
}

TEST_CASE("flat files are read by key") {
  CHECK(flat_value("a 1\noom_kill 22\n", "oom_kill") == 22);
  CHECK(flat_value("oom_kill_disable 0\n", "oom_kill") == 0);
  CHECK(flat_value("", "x") == 0);
}

TEST_CASE("a limit on devices that is not in force is told") {
  CHECK_FALSE(Cgroups(CgroupMounts(), "none").limit_devices("a", device_rules({})));
  CgroupMounts mounts;
  mounts.v1.push_back({"/nowhere", "devices", {"devices"}});
  CHECK_FALSE(Cgroups(mounts, "none").limit_devices("a", device_rules({})));
  mounts = CgroupMounts();
  mounts.unified = "/nowhere";
  CHECK_FALSE(Cgroups(mounts, "none").limit_devices("a", device_rules({})));
}

TEST_CASE("the kernel takes the device program, and obeys it", "[root]") {
  CgroupMounts mounts = Cgroups::of_this_machine("").mounts();
  if (mounts.unified.empty()) return;
  mounts.v1.clear();
  Cgroups cgroups(mounts, "knarr-test-devices-" + std::to_string(getpid()));
  std::vector<DeviceRule> rules = device_rules({});
  REQUIRE(cgroups.create("a/b", Resources(), true).ok());
  REQUIRE(cgroups.limit_devices("a/b", rules));
  int folder = open(cgroups.unified_folder("a/b").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  REQUIRE(folder >= 0);
  int pid = fork_into(0, folder);
  if (pid == 0) {
    bool null_opens = open("/dev/null", O_RDWR) >= 0;
    bool loop_refused = open("/dev/loop-control", O_RDWR) < 0 && errno == EPERM;
    bool node_made = mknod("/tmp/knarr-test-node", S_IFBLK | 0600, makedev(7, 0)) == 0;
    bool node_refused = open("/tmp/knarr-test-node", O_RDONLY) < 0 && errno == EPERM;
    unlink("/tmp/knarr-test-node");
    _exit((null_opens ? 1 : 0) | (loop_refused ? 2 : 0) | (node_made ? 4 : 0) |
          (node_refused ? 8 : 0));
  }
  int status = 0;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  close(folder);
  cgroups.remove_all();
  CHECK(WEXITSTATUS(status) == 15);
}
