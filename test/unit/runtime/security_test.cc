#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "base/format.h"
#include "node.h"

using namespace knarr;
using namespace knarr::runtime;

TEST_CASE("capabilities, no_new_privs and seccomp as Kubernetes has them", "[root]") {
  TestNode node;
  CHECK(node.output(node.shell("grep Cap /proc/self/status")) ==
        "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\n"
        "CapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\n");
  ContainerConfig dropped = node.shell("grep -E 'CapEff|NoNew|Seccomp:' /proc/self/status");
  dropped.security.drop_capabilities = {"ALL"};
  dropped.security.add_capabilities = {"NET_RAW"};
  dropped.security.no_new_privileges = true;
  CHECK(node.output(dropped) == "CapEff:\t0000000000002000\nNoNewPrivs:\t1\nSeccomp:\t2\n");
  ContainerConfig user = node.shell("grep -E 'CapEff|CapBnd' /proc/self/status");
  user.security.run_as_user = 1000;
  CHECK(node.output(user) == "CapEff:\t0000000000000000\nCapBnd:\t00000000a80425fb\n");
}

TEST_CASE("users and groups", "[root]") {
  TestNode node;
  ContainerConfig numbers = node.shell("id -u; id -g; id -G; echo $HOME");
  numbers.security.run_as_user = 1234;
  numbers.security.run_as_group = 2345;
  numbers.security.supplemental_groups = {3456, 4567};
  CHECK(node.output(numbers) == "1234\n2345\n2345 3456 4567\n/\n");
  ContainerConfig name = node.shell("id -u; id -g; id -G; echo $HOME; echo hi > /dev/stdout");
  name.security.run_as_username = "web";
  CHECK(node.output(name) == "1000\n1001\n1001 1002\n/home/web\nhi\n");
}

TEST_CASE("what must be hidden is, and what may not be written isn't", "[root]") {
  TestNode node;
  CHECK(node.output(
            node.shell("cat /proc/keys | wc -c; ls /sys/firmware | wc -l; "
                       "(echo 1 > /proc/sys/kernel/panic) 2>&1 | grep -o 'Read-only.*'; "
                       "touch /sys/x 2>&1 | grep -o 'Read-only.*'; "
                       "grep -cE '^(proc|sysfs) ' /proc/mounts; ls /dev | tr '\\n' ' '; "
                       "mknod /tmp/n b 254 0 && (head -c 1 /tmp/n) 2>&1 | grep -o 'not permitted'; "
                       "unshare -m true 2>&1 | grep -o 'not permitted'; echo $$")) ==
        "0\n0\nRead-only file system\nRead-only file system\n6\n"
        "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero "
        "not permitted\nnot permitted\n1\n");
}

TEST_CASE("the mounts of a container are those of any Kubernetes node", "[root]") {
  TestNode node;
  CHECK(node.output(node.shell(
            "awk '{print $2,$3}' /proc/mounts | grep -E '^/(proc|sys|dev|etc)' | grep -vE "
            "'cgroup|acpi|scsi|kcore|keys|firmware|timer|interrupts|latency|asound|sysrq|powercap' "
            "| sort -u")) ==
        "/dev tmpfs\n/dev/mqueue mqueue\n/dev/pts devpts\n/dev/shm tmpfs\n/proc proc\n"
        "/proc/bus proc\n/proc/fs proc\n/proc/irq proc\n/proc/sys proc\n/sys sysfs\n");
}

TEST_CASE("a read-only root, and a privileged container", "[root]") {
  TestNode node;
  ContainerConfig config =
      node.shell("(touch /x) 2>&1 | grep -o 'Read-only.*'; touch /dev/shm/y && echo ok");
  config.security.read_only_root = true;
  CHECK(node.output(config) == "Read-only file system\nok\n");
  ContainerConfig all = node.shell(
      "grep Seccomp: /proc/self/status; cat /proc/keys > /dev/null && echo keys; "
      "touch /proc/sys/kernel/panic && echo rw; mount -t tmpfs t /tmp && echo mounted; ls "
      "/dev/kmsg");
  all.security.privileged = true;
  CHECK(node.output(all) == "Seccomp:\t0\nkeys\nrw\nmounted\n/dev/kmsg\n");
}

TEST_CASE("a seccomp profile of the node's own", "[root]") {
  TestNode node;
  mkdir((node.dir / "seccomp").c_str(), 0755);
  write_test_file(node.dir / "seccomp/p.json",
                  R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
                      {"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]})");
  ContainerConfig config = node.shell("mkdir /tmp/x 2>&1 | grep -o 'not permitted'");
  config.security.seccomp = {SeccompProfile::Type::kLocalhost, "p.json"};
  CHECK(node.output(config) == "not permitted\n");
}

// Which number the shim's descriptors have is no contract: so all it can be.
TEST_CASE("no descriptor of the shim leads a working folder out of the container", "[root]") {
  TestNode node;
  std::string pod = node.sandbox();
  for (int fd = 3; fd < 24; fd++) {
    ContainerConfig config = node.shell("pwd");
    config.working_dir = fmt::format("/proc/self/fd/{}/../../../../../../../..", fd);
    Result<std::string> id = node.create(pod, config);
    REQUIRE(id.ok());
    CHECK_FALSE(node.start(*id).ok());
  }
}

TEST_CASE("a container has a session keyring, and what is run in it has the same", "[root]") {
  if (access("/proc/keys", R_OK) != 0) return;
  TestNode node;
  ContainerConfig config = node.shell("sleep 1000");
  config.security.unmasked_proc = true;
  std::string id = node.run(node.sandbox(), config);
  Result<ExecResult> keys = node.exec(id, {"grep", "-c", "_ses." + id, "/proc/keys"});
  REQUIRE(keys.ok());
  CHECK(keys->output == "1\n");
}

TEST_CASE("the program of a shim cannot be written through /proc", "[root]") {
  TestNode node;
  node.sandbox();
  node.stop_runtime();
  std::string netns = node.start_runtime().sandboxes[0].netns;
  std::string program = netns.substr(0, netns.find("/ns/")) + "/exe";
  struct statvfs info;
  REQUIRE(statvfs(program.c_str(), &info) == 0);
  CHECK((info.f_flag & ST_RDONLY) != 0);
  CHECK((info.f_flag & ST_NOSUID) != 0);
}

TEST_CASE("files are masked with the null device itself, or not at all", "[root]") {
  TestNode node;
  std::string dev = node.dir / "dev";
  mkdir(dev.c_str(), 0755);
  REQUIRE(mknod((dev + "/real").c_str(), S_IFCHR | 0666, makedev(1, 3)) == 0);
  REQUIRE(symlink("real", (dev + "/null").c_str()) == 0);
  ContainerConfig config = node.shell("true");
  config.mounts = {{dev, "/dev", false, Mount::Propagation::kPrivate}};
  Result<std::string> id = node.create(node.sandbox(), config);
  REQUIRE(id.ok());
  Result<ContainerStatus> started = node.start(*id);
  REQUIRE_FALSE(started.ok());
  CHECK(started.error().message.find("/dev/null of the container is not the null device") !=
        std::string::npos);
}
