#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "node.h"

using namespace knarr;
using namespace knarr::runtime;

TEST_CASE("a container runs, says, and ends", "[root]") {
  TestNode node;
  std::string pod = node.sandbox();
  std::string id = node.run(pod, node.shell("echo out; echo err >&2; printf end; exit 3"));
  ContainerStatus status = node.wait(id);
  CHECK(status.exit_code == 3);
  CHECK(status.reason == "Error");
  CHECK(status.started_at_ns > 0);
  CHECK(status.finished_at_ns >= status.started_at_ns);
  std::string log = node.log(id);
  CHECK(log.find("stdout F out\n") != std::string::npos);
  CHECK(log.find("stderr F err\n") != std::string::npos);
  CHECK(log.find("stdout P end\n") != std::string::npos);
  std::string ok = node.run(pod, node.shell("true"));
  CHECK(node.wait(ok).reason == "Completed");
}

TEST_CASE("environment, host name, working folder and home", "[root]") {
  TestNode node;
  ContainerConfig config = node.shell(
      "hostname; pwd; umask; for v in FROM HOME HOSTNAME PATH; do env | grep ^$v=; done");
  config.env = {{"FROM", "pod"}};
  config.working_dir = "/new/folder";
  std::string text = node.output(config);
  CHECK(text ==
        "pod-name\n/new/folder\n0022\nFROM=pod\nHOME=/root\nHOSTNAME=pod-name\nPATH=/bin\n");
}

TEST_CASE("what cannot be started says why", "[root]") {
  struct Row {
    std::string command, expected;
  };
  const Row rows[] = {
      {"no-such", "exec: \"no-such\": executable file not found in $PATH"},
      {"/no/such", "exec: \"/no/such\": stat /no/such: no such file or directory"},
      {"/bin/plain", "exec: \"/bin/plain\": permission denied"},
  };
  TestNode node;
  std::string pod = node.sandbox();
  for (const Row& row : rows) {
    ContainerConfig config = node.shell("");
    config.command = {row.command};
    Result<std::string> id = node.create(pod, config);
    REQUIRE(id.ok());
    Result<ContainerStatus> started = node.start(*id);
    REQUIRE_FALSE(started.ok());
    CHECK(started.error().message ==
          "failed to create containerd task: failed to create shim task: OCI runtime create "
          "failed: runc create failed: unable to start container process: error during container "
          "init: " +
              row.expected);
    CHECK(node.exits.empty());
  }
  // The file is there, but its interpreter is not: seen only by exec itself.
  ContainerConfig config = node.shell("");
  config.command = {"broken"};
  std::string id = node.run(pod, config);
  CHECK(node.wait(id).exit_code == 255);
  CHECK(node.log(id) == "stderr F exec /bin/broken: no such file or directory\n");
}

TEST_CASE("mounts: folders, files, read-only, made on the way, never outside", "[root]") {
  TestNode node;
  mkdir((node.dir / "vol").c_str(), 0755);
  write_test_file(node.dir / "vol/file", "inside\n");
  write_test_file(node.dir / "hosts", "names\n");
  ContainerConfig config = node.shell(
      "cat /v/file /etc/hosts /etc/dangling; touch /v/w; (touch /r/w) 2>&1 | grep -o "
      "'Read-only.*'; "
      "ls /escape/x; readlink /etc/dangling");
  config.mounts = {{node.dir / "vol", "/v", false, Mount::Propagation::kPrivate},
                   {node.dir / "vol", "/r", true, Mount::Propagation::kPrivate},
                   {node.dir / "hosts", "/etc/hosts", false, Mount::Propagation::kPrivate},
                   {node.dir / "hosts", "/etc/dangling", true, Mount::Propagation::kPrivate},
                   {node.dir / "vol", "/escape/x", true, Mount::Propagation::kPrivate},
                   {node.dir / "made", "/m", false, Mount::Propagation::kPrivate}};
  CHECK(node.output(config) ==
        "inside\nnames\nnames\nRead-only file system\nfile\nw\n../run/a/b\n");
  struct stat info;
  CHECK(stat((node.dir / "vol/w").c_str(), &info) == 0);
  CHECK(stat((node.dir / "made").c_str(), &info) == 0);
  CHECK(stat("/tmp/x", &info) != 0);
}

TEST_CASE("a volume that the image declares is the container's own, and begins as the image",
          "[root]") {
  TestNode node;
  std::string pod = node.sandbox();
  const char* script =
      "grep -c ' /data ' /proc/mounts; cat /data/link; stat -c '%u %a' /data/sub/file /data;"
      "ls /data; touch /data/new";
  std::string id = node.run(pod, node.shell(script));
  node.wait(id);
  std::string first =
      "stdout F 1\nstdout F declared\nstdout F 1000 640\nstdout F 0 750\n"
      "stdout F link\nstdout F sub\n";
  CHECK(node.log(id) == first);
  std::string again = node.run(pod, node.shell(script));
  node.wait(again);
  CHECK(node.log(again) == first);

  mkdir((node.dir / "vol").c_str(), 0755);
  ContainerConfig config = node.shell("ls /data; touch /data/w");
  config.mounts = {{node.dir / "vol", "/data", false, Mount::Propagation::kPrivate}};
  CHECK(node.output(config) == "");
  struct stat info;
  CHECK(stat((node.dir / "vol/w").c_str(), &info) == 0);
}

TEST_CASE("propagation: mounts made on the host come in", "[root]") {
  TestNode node;
  std::string shared = node.dir / "shared";
  mkdir(shared.c_str(), 0755);
  REQUIRE(system(("mount -t tmpfs t " + shared + " && mount --make-shared " + shared).c_str()) ==
          0);
  std::string pod = node.sandbox();
  ContainerConfig config = node.shell("sleep 1000");
  config.mounts = {{shared, "/in", false, Mount::Propagation::kHostToContainer},
                   {shared, "/alone", false, Mount::Propagation::kPrivate},
                   {shared, "/both", false, Mount::Propagation::kBidirectional}};
  std::string id = node.run(pod, config);
  mkdir((shared + "/sub").c_str(), 0755);
  REQUIRE(
      system(("mount -t tmpfs late " + shared + "/sub && touch " + shared + "/sub/seen").c_str()) ==
      0);
  CHECK(node.exec(id, {"ls", "/in/sub", "/alone/sub", "/both/sub"})->output ==
        "/alone/sub:\n\n/both/sub:\nseen\n\n/in/sub:\nseen\n");
  node.remove_sandbox(pod);
  CHECK(system(("umount " + shared + "/sub && umount " + shared).c_str()) == 0);
}

TEST_CASE("read-only with all that is mounted below, when asked for", "[root]") {
  TestNode node;
  std::string volume = node.dir / "volume";
  mkdir(volume.c_str(), 0755);
  mkdir((volume + "/sub").c_str(), 0755);
  REQUIRE(system(("mount -t tmpfs t " + volume + "/sub").c_str()) == 0);
  ContainerConfig config =
      node.shell("touch /top/sub/x && echo ok; touch /all/sub/x 2>&1 | grep -o 'Read-only.*'");
  config.mounts = {{volume, "/top", true, Mount::Propagation::kPrivate},
                   {volume, "/all", true, Mount::Propagation::kPrivate, true}};
  CHECK(node.output(config) == "ok\nRead-only file system\n");
  CHECK(system(("umount " + volume + "/sub").c_str()) == 0);
}

TEST_CASE("limits are what the cgroup says, and the kernel keeps them", "[root]") {
  TestNode node;
  std::string pod = node.sandbox();
  ContainerConfig config = node.shell("x=$(head -c 60000000 /dev/zero | tr '\\0' x); echo ${#x}");
  config.resources.memory_limit_bytes = 20 << 20;
  config.resources.memory_swap_limit_bytes = 20 << 20;
  config.resources.pids_limit = 50;
  std::string id = node.run(pod, config);
  ContainerStatus status = node.wait(id);
  CHECK(status.exit_code == 137);
  CHECK(status.reason == "OOMKilled");
  ContainerConfig quiet = node.shell("sleep 1000");
  quiet.resources.memory_limit_bytes = 32 << 20;
  std::string running = node.run(pod, quiet);
  auto stats = node.await<ContainerStats>([&](auto done) { node.runtime().stats(running, done); });
  REQUIRE(stats.ok());
  CHECK(stats->usage.memory_usage_bytes > 0);
  CHECK(stats->usage.memory_usage_bytes < 32 << 20);
  CHECK(stats->usage.cpu_usage_ns > 0);
  auto report = node.await<UsageReport>([&](auto done) { node.runtime().usage(done); });
  REQUIRE(report.ok());
  REQUIRE(report->sandboxes.size() == 1);
  const SandboxUsage& all = report->sandboxes[0];
  REQUIRE(all.containers.size() == 1);  // the other has ended
  CHECK(all.containers.at(running).cpu_usage_ns >= stats->usage.cpu_usage_ns);
  CHECK(all.usage.cpu_usage_ns >= all.containers.at(running).cpu_usage_ns);
  CHECK(report->all.memory_usage_bytes >= all.usage.memory_usage_bytes);
  CHECK(all.interfaces.empty());  // nobody attached it to a network
}

TEST_CASE("a pod's own group holds its containers, and can be changed while they run", "[root]") {
  TestNode node;
  SandboxConfig pod;
  pod.resources.memory_limit_bytes = 20 << 20;
  pod.resources.cpu_shares = 512;
  std::string sandbox = node.sandbox(pod);
  ContainerConfig config = node.shell("x=$(head -c 60000000 /dev/zero | tr '\\0' x); echo ${#x}");
  std::string small = node.run(sandbox, config);
  ContainerStatus status = node.wait(small);
  CHECK(status.exit_code == 137);
  CHECK(status.reason == "OOMKilled");
  Resources more;
  more.memory_limit_bytes = int64_t{1} << 30;
  CHECK(node.await<void>(
                [&](auto done) { node.runtime().update_group("burstable/poduid-0", more, done); })
            .ok());
  CHECK(node.await<void>([&](auto done) { node.runtime().update_group("", more, done); }).ok());
  config.attempt = 1;
  std::string large = node.run(sandbox, config);
  CHECK(node.wait(large).exit_code == 0);
  CHECK(node.log(large) == "stdout F 60000000\n");
}

TEST_CASE("logs are reopened, and rotated by size", "[root]") {
  TestNode node;
  std::string pod = node.sandbox();
  ContainerConfig config = node.shell("echo one; head -n 1; sleep 1000");
  config.stdin_open = true;
  std::string id = node.run(pod, config);
  node.wait_for_output(config, "one");
  rename(config.log_path.c_str(), (config.log_path + ".1").c_str());
  REQUIRE(node.await<void>([&](auto done) { node.runtime().reopen_log(id, done); }).ok());
  CHECK(read_test_file(config.log_path).empty());

  ContainerConfig loud = node.shell("yes 0123456789 | head -n 20000");
  loud.log_max_bytes = 100000;
  loud.log_max_files = 2;
  std::string other = node.run(pod, loud);
  CHECK(node.wait(other).exit_code == 0);
  CHECK(read_test_file(loud.log_path).size() < 2000000);
  CHECK(system(("test $(ls " + loud.log_path + ".* | wc -l) = 1").c_str()) == 0);
}

TEST_CASE("pods share what they should", "[root]") {
  TestNode node;
  SandboxConfig shared;
  shared.pid = NamespaceMode::kPod;
  shared.sysctls["kernel.shm_rmid_forced"] = "1";
  std::string pod = node.sandbox(shared);
  std::string first = node.run(pod, node.shell("touch /dev/shm/here; sleep 1000"));
  std::string second = node.run(
      pod, node.shell("while [ ! -e /dev/shm/here ]; do :; done; ps | grep -c '[s]leep 1000'; "
                      "cat /proc/sys/kernel/shm_rmid_forced; echo $$"));
  ContainerStatus status = node.wait(second);
  CHECK(status.exit_code == 0);
  std::string log = node.log(second);
  CHECK(log.find("stdout F 1\nstdout F 1\n") == 0);
  CHECK(node.exec(first, {"sh", "-c", "exit 4"})->exit_code == 4);
}
