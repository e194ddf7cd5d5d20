#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "base/file.h"
#include "node.h"
#include "runtime/cgroup.h"

using namespace knarr;
using namespace knarr::runtime;

namespace {

bool exists(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0;
}

// Breaks this process's connections to shims, as whatever both survive.
void break_connections() {
  for (int fd = 3; fd < 1024; fd++) {
    sockaddr_un peer{};
    socklen_t size = sizeof peer;
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0) continue;
    if (peer.sun_family != AF_UNIX || size <= sizeof(sa_family_t)) continue;
    if (std::string(peer.sun_path).ends_with("shim.sock")) shutdown(fd, SHUT_RDWR);
  }
}

int shim_pid(const Inventory& inventory) {
  int pid = 0;
  REQUIRE(sscanf(inventory.sandboxes[0].netns.c_str(), "/proc/%d/", &pid) == 1);
  return pid;
}

const ContainerStatus* find(const Inventory& inventory, const std::string& id) {
  for (const ContainerStatus& status : inventory.containers) {
    if (status.id == id) return &status;
  }
  return nullptr;
}

}  // namespace

TEST_CASE("stop: the signal, the grace, the kill", "[root]") {
  TestNode node;
  std::string pod = node.sandbox();
  ContainerConfig traps = node.shell("trap 'exit 9' TERM; echo up; while :; do sleep 0.02; done");
  ContainerConfig ignores = node.shell("trap '' TERM; echo up; while :; do sleep 0.02; done");
  std::string polite = node.run(pod, traps);
  std::string stubborn = node.run(pod, ignores);
  node.wait_for_output(traps, "up");
  node.wait_for_output(ignores, "up");
  REQUIRE(node.await<void>([&](auto done) { node.runtime().stop_container(polite, 20000, done); })
              .ok());
  CHECK(node.wait(polite).exit_code == 9);
  REQUIRE(node.await<void>([&](auto done) { node.runtime().stop_container(stubborn, 100, done); })
              .ok());
  CHECK(node.wait(stubborn).exit_code == 137);
  // Again, and of what never was.
  CHECK(node.await<void>([&](auto done) { node.runtime().stop_container(polite, 0, done); }).ok());
  CHECK(node.await<void>([&](auto done) { node.runtime().stop_container("x", 0, done); }).ok());
}

TEST_CASE("pods outlive the runtime, and are found again", "[root]") {
  TestNode node;
  std::string pod = node.sandbox();
  std::string running = node.run(pod, node.shell("sleep 1000"));
  std::string short_lived = node.run(pod, node.shell("head -n 1; exit 4"));
  Result<std::string> created = node.create(pod, node.shell("true"));
  REQUIRE(created.ok());
  ContainerConfig fed = node.shell("sleep 0.2; exit 4");
  std::string ends_alone = node.run(pod, fed);
  node.stop_runtime();
  // It ends while nobody is there: its shim writes that down.
  std::string exit_file = node.dir / "state/containers/" + ends_alone + "/exit.json";
  REQUIRE(node.loop.run_until(
      [&] {
        node.loop.defer([] {});
        return exists(exit_file);
      },
      kPatience_ms));
  Inventory found = node.start_runtime();
  REQUIRE(found.sandboxes.size() == 1);
  CHECK(found.sandboxes[0].id == pod);
  CHECK(found.sandboxes[0].ready);
  REQUIRE(found.containers.size() == 4);
  CHECK(find(found, running)->state == ContainerState::kRunning);
  CHECK(find(found, running)->pid > 0);
  CHECK(find(found, *created)->state == ContainerState::kCreated);
  CHECK(find(found, ends_alone)->state == ContainerState::kExited);
  CHECK(find(found, ends_alone)->exit_code == 4);
  CHECK(node.exec(running, {"true"})->exit_code == 0);
  CHECK(node.start(*created).ok());
  CHECK(node.wait(*created).exit_code == 0);
  REQUIRE(
      node.await<void>([&](auto done) { node.runtime().stop_container(running, 0, done); }).ok());
  CHECK(node.wait(running).exit_code == 137);
}

TEST_CASE("a killed shim takes its pod along", "[root]") {
  TestNode node;
  std::string pod = node.sandbox();
  std::string id = node.run(pod, node.shell("sleep 1000"));
  int pid = 0;
  Result<ExecResult> where = node.exec(id, {"true"});
  Inventory inventory = *node.await<Inventory>([&](auto done) {
    node.stop_runtime();
    Inventory found = node.start_runtime();
    done(found);
  });
  REQUIRE(sscanf(inventory.sandboxes[0].netns.c_str(), "/proc/%d/", &pid) == 1);
  int container_pid = inventory.containers[0].pid;
  REQUIRE(kill(pid, SIGKILL) == 0);
  CHECK(node.wait(id).exit_code == 137);
  CHECK(node.loop.run_until(
      [&] {
        node.loop.defer([] {});
        return kill(container_pid, 0) != 0;
      },
      kPatience_ms));
  CHECK(node.gone.contains(pod));
}

TEST_CASE("a lost connection is no lost shim", "[root]") {
  TestNode node;
  std::string pod = node.sandbox();
  std::string id = node.run(pod, node.shell("sleep 1000"));
  std::optional<Result<ExecResult>> running;
  node.runtime().exec_sync(
      id, {"sh", "-c", "touch /tmp/up; while [ ! -e /tmp/go ]; do sleep 0.02; done; exit 7"}, 0,
      [&](Result<ExecResult> result) { running = std::move(result); });
  // What has not been told to have started is lost with the connection.
  REQUIRE(node.loop.run_until(
      [&] {
        Result<ExecResult> up = node.exec(id, {"sh", "-c", "[ -e /tmp/up ]"});
        return up.ok() && up->exit_code == 0;
      },
      kPatience_ms));
  break_connections();
  REQUIRE(node.loop.run_until(
      [&] {
        return node.exec(id, {"touch", "/tmp/go"}).ok();
      },
      kPatience_ms));
  REQUIRE(node.loop.run_until([&] { return running.has_value(); }, kPatience_ms));
  REQUIRE(running->ok());
  CHECK((*running)->exit_code == 7);
  CHECK(node.exits.empty());
  CHECK(node.gone.empty());
  // A stop that comes at that moment is no less one.
  break_connections();
  node.stop_sandbox(pod);
  CHECK(node.wait(id).exit_code == 137);
}

TEST_CASE("a shim that does not answer is not waited for, and ended", "[root][slow]") {
  TestNode node;
  std::string pod = node.sandbox();
  std::string id = node.run(pod, node.shell("sleep 1000"));
  node.stop_runtime();
  int pid = shim_pid(node.start_runtime());
  node.stop_runtime();
  REQUIRE(kill(pid, SIGSTOP) == 0);
  Inventory found = node.start_runtime();
  REQUIRE(found.sandboxes.size() == 1);
  CHECK_FALSE(found.sandboxes[0].ready);
  CHECK(find(found, id)->state == ContainerState::kExited);
  CHECK(node.loop.run_until(
      [&] {
        node.loop.defer([] {});
        Result<std::string> line = base::read_file("/proc/" + std::to_string(pid) + "/cmdline");
        return !line.ok() || line->empty();
      },
      kPatience_ms));
}

TEST_CASE("the end of a shared pid namespace is the sandbox's", "[root]") {
  TestNode node;
  SandboxConfig config;
  config.pid = NamespaceMode::kPod;
  std::string pod = node.sandbox(config);
  std::string id = node.run(pod, node.shell("kill -TERM 1; sleep 1000"));
  CHECK(node.wait(id).exit_code == 137);
  CHECK(node.loop.run_until([&] { return node.gone.contains(pod); }, kPatience_ms));
}

TEST_CASE("groups of pods that nobody knows go, with what runs in them", "[root]") {
  TestNode node;
  std::string pod = node.sandbox();
  std::string id = node.run(pod, node.shell("sleep 1000"));
  Cgroups cgroups = Cgroups::of_this_machine(node.cgroup_root());
  REQUIRE(cgroups.create("kubepods/burstable/podstale/c", {}, true).ok());
  std::vector<std::string> files = cgroups.tasks_files("kubepods/burstable/podstale/c");
  std::string unified = cgroups.unified_folder("kubepods/burstable/podstale/c");
  if (!unified.empty()) files.push_back(unified + "/cgroup.procs");
  int lost = fork();
  if (lost == 0) {
    for (const std::string& path : files) {
      int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
      if (fd >= 0) [[maybe_unused]]
        ssize_t n = write(fd, "0", 1);
    }
    while (true) pause();
  }
  REQUIRE(lost > 0);
  REQUIRE(node.loop.run_until(
      [&] {
        node.loop.defer([] {});
        std::ifstream groups("/proc/" + std::to_string(lost) + "/cgroup");
        size_t joined = 0;
        for (std::string line; std::getline(groups, line);) {
          joined += line.find("podstale") != std::string::npos ? 1 : 0;
        }
        return joined == files.size();
      },
      kPatience_ms));
  node.stop_runtime();
  node.start_runtime();
  int status = 0;
  REQUIRE(waitpid(lost, &status, 0) == lost);
  CHECK(WIFSIGNALED(status));
  CHECK(cgroups.children("kubepods/burstable") == std::set<std::string>{"poduid-0"});
  CHECK(node.exec(id, {"true"})->exit_code == 0);
}

TEST_CASE("stopping and removing a sandbox leaves nothing", "[root]") {
  TestNode node;
  SandboxConfig config;
  config.pid = NamespaceMode::kPod;  // with an init process of its own
  std::string pod = node.sandbox(config);
  std::string id = node.run(pod, node.shell("sleep 1000"));
  std::string shm = node.dir / "state/sandboxes/" + pod + "/shm";
  CHECK(system(("grep -q " + shm + " /proc/mounts").c_str()) == 0);
  node.stop_sandbox(pod);
  CHECK(node.wait(id).exit_code == 137);
  CHECK(system(("grep -q " + shm + " /proc/mounts").c_str()) != 0);
  node.remove_sandbox(pod);
  CHECK_FALSE(exists(node.dir / "state/sandboxes/" + pod));
  std::string look = "pgrep -f '[s]andboxes/" + pod + "' > /dev/null";
  CHECK(node.loop.run_until(
      [&] {
        node.loop.defer([] {});
        return system(look.c_str()) != 0;
      },
      kPatience_ms));
  CHECK_FALSE(exists(node.dir / "state/containers/" + id));
  CHECK(system(("test -z \"$(find /sys/fs/cgroup -name '*" + id + "*' 2>/dev/null)\"").c_str()) ==
        0);
  CHECK(node.await<void>([&](auto done) { node.runtime().remove_sandbox(pod, done); }).ok());
}

TEST_CASE("a pod's next sandbox does not suffer from the removal of the last one", "[root]") {
  TestNode node;
  SandboxConfig config;
  config.pod_uid = "same";
  config.pid = NamespaceMode::kPod;
  std::string first = node.sandbox(config);
  config.attempt = 1;
  std::string second = node.sandbox(config);
  std::string old = node.run(first, node.shell("sleep 1000"));
  std::string id = node.run(second, node.shell("sleep 1000"));
  node.remove_sandbox(first);
  CHECK(node.wait(old).exit_code == 137);
  CHECK(node.exec(id, {"true"})->exit_code == 0);
}

TEST_CASE("a sandbox that cannot be set up says why, and leaves nothing", "[root]") {
  TestNode node;
  SandboxConfig config;
  config.pod_uid = "bad";
  config.sysctls["net.no.such"] = "1";
  auto made =
      node.await<SandboxStatus>([&](auto done) { node.runtime().create_sandbox(config, done); });
  REQUIRE_FALSE(made.ok());
  CHECK(made.error().message == "set sysctl net/no/such: No such file or directory");
  node.stop_runtime();
  CHECK(node.start_runtime().sandboxes.empty());
}

TEST_CASE("after a reboot there is nothing but an empty inventory", "[root]") {
  TestNode node;
  std::string pod = node.sandbox();
  std::string id = node.run(pod, node.shell("true"));
  node.wait(id);
  node.stop_sandbox(pod);
  node.stop_runtime();
  write_test_file(node.dir / "state/boot_id", "another\n");
  Inventory found = node.start_runtime();
  CHECK(found.sandboxes.empty());
  CHECK(found.containers.empty());
  CHECK(node.loop.run_until(
      [&] {
        node.loop.defer([] {});
        return !exists(node.dir / "data/snapshots/" + id);
      },
      kPatience_ms));
}
