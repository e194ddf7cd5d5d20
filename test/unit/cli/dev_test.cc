// What `knarr dev` writes down, reads and finds, without a cluster.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <map>
#include <memory>
#include <thread>

#include "api/codec/yaml.h"
#include "base/file.h"
#include "cli/dev_cluster.h"
#include "cli/dev_logs.h"
#include "cli/dev_network.h"
#include "cli/dev_process.h"
#include "temp_dir.h"

using namespace knarr;       // NOLINT
using namespace knarr::cli;  // NOLINT

namespace {

DevCluster cluster_in(const std::string& folder) {
  DevCluster c;
  c.name = "blue";
  c.place = {folder + "/data", folder + "/run", true};
  c.cgroup_root = "knarr-dev";
  c.nodes = 3;
  c.subnet = 101;
  c.publish = {"8080:80", "5353:30053/udp"};
  c.api_port = 16443;
  return c;
}

constexpr const char* kUsersConfig =
    R"({"apiVersion":"v1","kind":"Config","current-context":"work",
    "preferences":{"colors":true},"clusters":[{"name":"work","cluster":{"server":"https://w"}}],
    "users":[{"name":"me","user":{"token":"mine"}}],
    "contexts":[{"name":"work","context":{"cluster":"work","user":"me"}}]})";

// One whose server has started once.
DevCluster with_kubeconfig(const std::string& folder, const std::string& name) {
  DevCluster c = cluster_in(folder);
  c.name = name;
  c.kubeconfig = folder + "/config";
  std::filesystem::create_directories(c.data_of(0));
  REQUIRE(base::write_file(c.data_of(0) + "/kubeconfig",
                           R"({"clusters":[{"name":"knarr","cluster":{"server":"https://x:6443",
                           "certificate-authority-data":"QUFB"}}],"users":[{"name":"knarr",
                           "user":{"token":"t"}}]})")
              .ok());
  return c;
}

std::atomic<int> heard_signals = 0;

std::string text_of(const std::string& path) {
  auto text = base::read_file(path);
  return text.ok() ? *text : "";
}

}  // namespace

TEST_CASE("a published port is two numbers, perhaps with a protocol") {
  auto check = [](const std::string& text, const std::string& want) {
    INFO(text);
    auto p = parse_published(text);
    CHECK((p.ok() ? p->host_port + " " + p->port + " " + p->protocol : "no") == want);
  };
  check("8080:80", "8080 80 tcp");
  check("5353:30053/udp", "5353 30053 udp");
  check("1:65535/tcp", "1 65535 tcp");
  for (const char* wrong : {"", "80", ":80", "80:", "0:80", "80:65536", "123456:1", "a:80", "80:8o",
                            "-1:80", "80:80:80", "80:80/", "80:80/sctp", "80/udp", "80/80:1"}) {
    check(wrong, "no");
  }
}

TEST_CASE("names of a cluster's nodes, and of what is theirs") {
  DevCluster c = cluster_in("/x");
  CHECK(c.node_name(0) == "blue-server");
  CHECK(c.node_name(2) == "blue-agent-2");
  CHECK(c.cgroup_of(1) == "knarr-dev-blue-agent-1");
  CHECK(c.data_of(0) == "/x/data/blue/server");
  CHECK(c.pid_file(1) == "/x/run/blue/agent-1.pid");
  CHECK(c.log_file(1) == "/x/data/blue/agent-1/knarr.log");
  CHECK(DevNetwork(c).address(2) == "10.89.101.4");
  CHECK(c.node_of("server") == 0);
  CHECK(c.node_of("agent-2") == 2);
  CHECK(c.node_of("blue-agent-1") == 1);
  for (const char* none : {"", "agent-3", "agent-0", "blue", "green-server", "agent-1 "}) {
    CHECK_FALSE(c.node_of(none));
  }
}

TEST_CASE("what a cluster is can be read again") {
  knarr::test::TempDir dir;
  DevCluster c = cluster_in(dir.path());
  CHECK(load_dev_cluster(c.place, "blue").error().code == Code::kNotFound);
  REQUIRE(save_dev_cluster(c).ok());
  auto again = load_dev_cluster(c.place, "blue");
  REQUIRE(again.ok());
  CHECK(again->nodes == 3);
  CHECK(again->subnet == 101);
  CHECK(again->publish == c.publish);
  CHECK(again->api_port == 16443);
  CHECK(again->cgroup_root == "knarr-dev");
  REQUIRE(list_dev_clusters(c.place).size() == 1);
  // Its processes are found below the folder that it was started with, or not at all.
  std::filesystem::create_directories(c.run());
  DevPlace other = c.place;
  other.run_root = dir.path() + "/elsewhere";
  CHECK(load_dev_cluster(other, "blue").error().code == Code::kForbidden);
  CHECK(list_dev_clusters(other).empty());
  REQUIRE(remove_dev_files(c).ok());
  CHECK(list_dev_clusters(c.place).empty());
}

TEST_CASE("a process is told from another of its pid") {
  std::string own = process_record(getpid());
  CHECK(process_of_record(own) == getpid());
  std::string number = std::to_string(getpid());
  for (const std::string& other : {number + " 1", number, number + " 0", std::string(),
                                   std::string("x"), std::string("-1 5"), std::string("0 0")}) {
    CHECK(process_of_record(other) == 0);
  }
  auto found =
      find_processes([&](const std::string& process) { return process == "/proc/" + number; });
  CHECK(found.empty());  // never itself
  // One that has ended counts no more, though nobody has waited for it.
  pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  auto children = [&] {
    return find_processes(
        [&](const std::string& process) { return process == "/proc/" + std::to_string(child); });
  };
  auto running = children();
  REQUIRE(running.size() == 1);
  kill(child, SIGKILL);
  pollfd end = {running[0].process.get(), POLLIN, 0};
  REQUIRE(poll(&end, 1, 10000) == 1);
  CHECK(std::filesystem::exists("/proc/" + std::to_string(child)));
  CHECK(children().empty());
  kill_and_await(running);  // also waits for its own children
  CHECK_FALSE(std::filesystem::exists("/proc/" + std::to_string(child)));
}

TEST_CASE("a node that runs is found, wherever its cluster is kept") {
  knarr::test::TempDir dir;
  DevCluster c = cluster_in(dir.path());
  CHECK(any_dev_node_of(c.run()) == 0);
  REQUIRE(base::make_dirs(c.place.run_root).ok());
  REQUIRE(base::write_file(c.place.run_root + "/namespaces", process_record(getpid())).ok());
  CHECK_FALSE(any_dev_cluster_runs(c.place.run_root));
  std::filesystem::create_directories(c.run_of(1));
  REQUIRE(base::write_file(c.pid_file(0), std::to_string(getpid()) + " 1\n").ok());
  CHECK(any_dev_node_of(c.run()) == 0);
  CHECK(any_dev_cluster_runs(c.place.run_root));  // its pods may
  REQUIRE(base::write_file(c.pid_file(1), process_record(getpid())).ok());
  CHECK(any_dev_node_of(c.run()) == getpid());
}

TEST_CASE("nobody waits for a server that has ended") {
  knarr::test::TempDir dir;
  DevCluster c = cluster_in(dir.path());
  std::filesystem::create_directories(c.data_of(0));
  REQUIRE(base::write_file(c.data_of(0) + "/kubeconfig",
                           R"({"current-context":"k","clusters":[{"name":"k","cluster":
                           {"server":"https://x:6443"}}],"users":[{"name":"k","user":
                           {"token":"t"}}],"contexts":[{"name":"k","context":
                           {"cluster":"k","user":"k"}}]})")
              .ok());
  CHECK_THAT(await_dev_server(c).error().message,
             Catch::StartsWith("node blue-server has ended: `knarr dev logs blue`"));
}

TEST_CASE("the lock is had whatever happens meanwhile") {
  knarr::test::TempDir dir;
  std::string run_root = dir.path() + "/run";
  // Others that end remove the folder.
  std::atomic<bool> over = false;
  std::thread others([&] {
    while (!over) rmdir(run_root.c_str());
  });
  for (int i = 0; i < 500; i++) {
    DevLock lock;
    auto taken = lock.take(run_root);
    if (taken.ok()) continue;
    CHECK(taken.error().message.empty());
    break;
  }
  over = true;
  others.join();
  // Signals come while it waits.
  struct sigaction count {
  }, before{};
  count.sa_handler = [](int) { heard_signals++; };
  sigaction(SIGUSR1, &count, &before);
  auto first = std::make_unique<DevLock>();
  REQUIRE(first->take(run_root).ok());
  Result<void> result;
  std::atomic<bool> ended = false;
  std::thread waits([&] {
    DevLock second;
    result = second.take(run_root);
    ended = true;
  });
  for (int sent = 0; sent < 200 && !ended; sent++) {
    if (pthread_kill(waits.native_handle(), SIGUSR1) != 0) break;
    while (heard_signals <= sent && !ended) std::this_thread::yield();
  }
  first.reset();
  waits.join();
  sigaction(SIGUSR1, &before, nullptr);
  CHECK(result.ok());
}

TEST_CASE("nodes and shims are known by their arguments") {
  auto check = [](std::string arguments, bool want) {
    for (char& c : arguments) c = c == ' ' ? '\0' : c;
    INFO(arguments);
    CHECK(runs_below(arguments + '\0', "/run/knarr-dev/blue") == want);
  };
  check("knarr server --run-dir /run/knarr-dev/blue/server", true);
  check("knarr shim /run/knarr-dev/blue/agent-1/sandboxes/x", true);
  check("knarr server --run-dir /run/knarr-dev/blue2/server", false);
  check("knarr server --run-dir=/run/knarr-dev/blue/server", false);
  check("/usr/local/bin/knarr server --run-dir /run/knarr-dev/blue/server", false);
  check("tail -f /run/knarr-dev/blue/server", false);
  check("knarr", false);
  check("", false);
}

TEST_CASE("nodes are known by their network") {
  auto check = [](std::string arguments, bool want) {
    for (char& c : arguments) c = c == ' ' ? '\0' : c;
    CHECK(has_address_in(arguments + '\0', 101) == want);
  };
  check("knarr server --node-ip 10.89.101.2 --x", true);
  check("knarr server --node-ip 10.89.10.2", false);
  check("knarr server --node-ip", false);
  check("knarr server --node-ips 10.89.101.2", false);
  check("", false);
}

TEST_CASE("containers are known by their root, and nobody by what else is mounted") {
  auto check = [](const std::string& lines, bool want) {
    INFO(lines);
    std::string rest = "30 29 0:5 / /proc rw,nosuid - proc proc rw\n";
    CHECK(has_root_below(rest + lines + rest, "/home/me/dev/my blue") == want);
  };
  auto overlay = [](const std::string& point, const std::string& upper) {
    return "29 1 0:40 / " + point +
           " rw,relatime shared:7 master:1 - overlay overlay rw,lowerdir=/l1:/l2" +
           ",upperdir=" + upper + ",workdir=/w,userxattr\n";
  };
  check(overlay("/", "/home/me/dev/my\\040blue/server/snapshots/1/upper"), true);
  check(overlay("/data", "/home/me/dev/my\\040blue/server/snapshots/1/upper"), false);
  check(overlay("/", "/home/me/dev/my\\040blue"), false);
  check(overlay("/", "/home/me/dev/my\\040blue2/server/snapshots/1/upper"), false);
  check(overlay("/", "/home/me/.local/share/containers/overlay/x/diff"), false);
  check("29 1 8:1 /home/me/dev/my\\040blue/server/root / rw - ext4 /dev/sda1 rw\n", true);
  // A stranger's container, to which the folder was given.
  check(overlay("/", "/elsewhere") +
            "31 29 8:1 /home/me/dev/my\\040blue/server/storage /data rw - ext4 /dev/sda1 rw\n",
        false);
  check("29 1 8:1 / / rw - ext4 /home/me/dev/my\\040blue/disk rw\n", false);
  check("29 1 8:1 / /", false);
  check("", false);
}

TEST_CASE("a kubeconfig gains and loses a context, and keeps all else") {
  knarr::test::TempDir dir;
  DevCluster c = with_kubeconfig(dir.path(), "blue");
  REQUIRE(base::write_file(c.kubeconfig, kUsersConfig, 0640).ok());
  auto config = [&] { return api::parse_yaml_stream(text_of(c.kubeconfig)).value().at(0); };
  for (int times = 0; times < 2; times++) {
    REQUIRE(add_dev_context(c).ok());
    json::Value now = config();
    CHECK(now["current-context"].as_string() == "knarr-blue");
    CHECK(now["preferences"]["colors"].as_bool());
    REQUIRE(now["clusters"].size() == 2);
    CHECK(now["clusters"][1]["cluster"]["server"].as_string() == "https://127.0.0.1:16443");
    CHECK(now["clusters"][1]["cluster"]["certificate-authority-data"].as_string() == "QUFB");
    CHECK(now["users"][1]["user"]["token"].as_string() == "t");
    CHECK(now["contexts"].size() == 2);
    CHECK(c.previous_context == "work");
  }
  REQUIRE(remove_dev_context(c).ok());
  REQUIRE(config()["contexts"].size() == 1);
  CHECK(config()["contexts"][0]["context"]["user"].as_string() == "me");
  CHECK(config()["current-context"].as_string() == "work");
  CHECK(config()["users"].size() == 1);
  // One that was made for the cluster goes with it; one that cannot be read stays as it is.
  std::filesystem::remove(c.kubeconfig);
  c.made_kubeconfig = true;
  REQUIRE(add_dev_context(c).ok());
  REQUIRE(remove_dev_context(c).ok());
  CHECK_FALSE(std::filesystem::exists(c.kubeconfig));
  REQUIRE(base::write_file(c.kubeconfig, "a: [").ok());
  CHECK_FALSE(add_dev_context(c).ok());
  CHECK(text_of(c.kubeconfig) == "a: [");
}

TEST_CASE("the user's own context is found again, in whichever order clusters end") {
  auto begun = GENERATE(as<std::string>(), "abc", "cba", "abacb");
  knarr::test::TempDir dir;
  std::map<std::string, DevCluster> clusters;
  REQUIRE(base::write_file(dir.path() + "/config", kUsersConfig).ok());
  for (char letter : begun) {
    std::string name(1, letter);
    if (clusters.count(name) == 0) clusters[name] = with_kubeconfig(dir.path(), name);
    auto known = load_dev_cluster(clusters[name].place, name);
    if (known.ok()) clusters[name] = *known;
    REQUIRE(add_dev_context(clusters[name]).ok());
  }
  // As `down --all` has read them before the first ends.
  std::vector<DevCluster> listed = list_dev_clusters(clusters["a"].place);
  REQUIRE(listed.size() == 3);
  for (const DevCluster& c : listed) {
    REQUIRE(remove_dev_context(c).ok());
    REQUIRE(remove_dev_files(c).ok());
  }
  json::Value left = api::parse_yaml_stream(text_of(dir.path() + "/config")).value().at(0);
  CHECK(left["current-context"].as_string() == "work");
  CHECK(left["contexts"].size() == 1);
}

TEST_CASE("a log is followed until it is removed") {
  knarr::test::TempDir dir;
  std::string path = dir.path() + "/log";
  int out[2];
  REQUIRE(pipe2(out, O_CLOEXEC) == 0);
  auto heard = [&](size_t bytes) {
    std::string text(bytes, ' ');
    size_t got = 0;
    while (got < bytes) {
      ssize_t n = read(out[0], text.data() + got, bytes - got);
      if (n <= 0) break;
      got += static_cast<size_t>(n);
    }
    return text.substr(0, got);
  };
  auto append = [&](const std::string& text) {
    base::UniqueFd file(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    REQUIRE(write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  };
  CHECK_FALSE(write_log(path, false, out[1]).ok());
  append("one\n");
  REQUIRE(write_log(path, false, out[1]).ok());
  CHECK(heard(4) == "one\n");
  Result<void> followed;
  std::thread follower([&] { followed = write_log(path, true, out[1]); });
  CHECK(heard(4) == "one\n");
  append("two\n");
  CHECK(heard(4) == "two\n");
  CHECK(truncate(path.c_str(), 0) == 0);
  append("3\n");
  CHECK(heard(2) == "3\n");
  append("the end");
  unlink(path.c_str());
  follower.join();
  CHECK(followed.ok());
  CHECK(heard(7) == "the end");
  // Nobody reads any more.
  append("more");
  std::thread unheard([&] { followed = write_log(path, true, out[1]); });
  CHECK(heard(4) == "more");
  close(out[0]);
  unheard.join();
  CHECK(followed.ok());
  close(out[1]);
}
