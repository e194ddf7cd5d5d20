#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "node.h"
#include "runtime/cgroup.h"

using namespace knarr;
using namespace knarr::runtime;

namespace {

struct Recorder : StreamListener {
  void on_stdout(std::string_view bytes) override { out += bytes; }
  void on_stderr(std::string_view bytes) override { err += bytes; }
  void on_exit(Result<int> result) override { code = result.ok() ? *result : -1; }
  std::string out;
  std::string err;
  std::optional<int> code;
};

std::unique_ptr<Stream> open_exec(TestNode& node, const std::string& id, ExecOptions options,
                                  Recorder& recorder) {
  auto stream = node.await<std::unique_ptr<Stream>>(
      [&](auto done) { node.runtime().exec(id, options, recorder, done); });
  if (!stream.ok()) FAIL(stream.error().message);
  return std::move(*stream);
}

std::vector<int> members(const std::string& group) {
  std::vector<int> pids;
  std::ifstream file(group + "/cgroup.procs");
  for (int pid; file >> pid;) pids.push_back(pid);
  return pids;
}

}  // namespace

TEST_CASE("exec_sync: output, code, errors, timeout", "[root]") {
  TestNode node;
  std::string id = node.run(node.sandbox(), node.shell("sleep 1000"));
  Result<ExecResult> result = node.exec(id, {"sh", "-c", "echo a; echo b >&2; exit 7"});
  REQUIRE(result.ok());
  CHECK(result->exit_code == 7);
  CHECK(result->output.size() == 4);
  CHECK(node.exec(id, {"seq", "100000"})->output.size() == 10240);
  CHECK(node.exec(id, {"sh", "-c", "ps | wc -l"})->exit_code == 0);
  CHECK(node.exec(id, {"sh", "-c", "kill -9 $$"})->exit_code == 137);
  Result<ExecResult> missing = node.exec(id, {"no-such"});
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.error().message.find("OCI runtime exec failed: exec failed: unable to start "
                                     "container process: exec: \"no-such\": executable file not "
                                     "found in $PATH") != std::string::npos);
  Result<ExecResult> slow = node.exec(id, {"sleep", "100"}, 50);
  REQUIRE_FALSE(slow.ok());
  CHECK(slow.error().code == Code::kTimeout);
  CHECK(slow.error().message == "command timed out: \"sleep 100\" timed out after 50ms");
}

TEST_CASE("exec has the container's security", "[root]") {
  TestNode node;
  ContainerConfig config = node.shell("sleep 1000");
  config.security.run_as_user = 1000;
  config.security.no_new_privileges = true;
  std::string id = node.run(node.sandbox(), config);
  std::string text =
      node.exec(id, {"sh", "-c", "id -u; grep -E 'NoNew|Seccomp:|CapBnd' /proc/self/status; env"})
          ->output;
  CHECK(text.find("1000\n") == 0);
  CHECK(text.find("NoNewPrivs:\t1") != std::string::npos);
  CHECK(text.find("Seccomp:\t2") != std::string::npos);
  CHECK(text.find("CapBnd:\t00000000a80425fb") != std::string::npos);
  CHECK(text.find("HOME=/home/web") != std::string::npos);
}

TEST_CASE("exec with input, and without end if it is dropped", "[root]") {
  TestNode node;
  std::string id = node.run(node.sandbox(), node.shell("sleep 1000"));
  Recorder recorder;
  ExecOptions options;
  options.argv = {"cat"};
  options.stdin_open = true;
  auto stream = open_exec(node, id, options, recorder);
  bool written = false;
  std::string big(300000, 'x');
  stream->write_stdin(big, [&] { written = true; });
  stream->close_stdin();
  REQUIRE(node.loop.run_until([&] { return recorder.code.has_value(); }, kPatience_ms));
  CHECK(written);
  CHECK(recorder.code == 0);
  CHECK(recorder.out == big);

  Recorder dropped;
  options.argv = {"sleep", "555"};
  options.stdin_open = false;
  open_exec(node, id, options, dropped).reset();
  CHECK(node.loop.run_until(
      [&] {
        return node.exec(id, {"sh", "-c", "ps | grep -c '[s]leep 555'"})->output == "0\n";
      },
      kPatience_ms));
}

TEST_CASE("exec with a terminal", "[root]") {
  TestNode node;
  std::string id = node.run(node.sandbox(), node.shell("sleep 1000"));
  Recorder recorder;
  ExecOptions options;
  options.argv = {"sh", "-c", "tty; echo $TERM; head -n 1 > /dev/null; stty size; exit 5"};
  options.stdin_open = true;
  options.tty = true;
  auto stream = open_exec(node, id, options, recorder);
  REQUIRE(node.loop.run_until([&] { return recorder.out.find("xterm") != std::string::npos; },
                              kPatience_ms));
  stream->resize(132, 43);
  stream->write_stdin("go\n", {});
  REQUIRE(node.loop.run_until([&] { return recorder.code.has_value(); }, kPatience_ms));
  CHECK(recorder.code == 5);
  CHECK(recorder.out == "/dev/pts/0\r\nxterm\r\ngo\r\n43 132\r\n");
}

TEST_CASE("attach: to pipes and to a terminal", "[root]") {
  TestNode node;
  std::string pod = node.sandbox();
  ContainerConfig config = node.shell("cat; echo done >&2; exit 6");
  config.stdin_open = true;
  config.stdin_once = true;
  std::string id = node.run(pod, config);
  Recorder one;
  Recorder two;
  auto attach = [&](const std::string& container, Recorder& recorder) {
    auto stream = node.await<std::unique_ptr<Stream>>(
        [&](auto done) { node.runtime().attach(container, recorder, done); });
    REQUIRE(stream.ok());
    return std::move(*stream);
  };
  auto first = attach(id, one);
  auto second = attach(id, two);
  first->write_stdin("hello\n", {});
  REQUIRE(node.loop.run_until([&] { return !one.out.empty() && !two.out.empty(); }, kPatience_ms));
  first->close_stdin();
  REQUIRE(node.loop.run_until([&] { return one.code && two.code; }, kPatience_ms));
  CHECK(one.out == "hello\n");
  CHECK(one.err == "done\n");
  CHECK(two.out == "hello\n");
  CHECK(one.code == 6);
  CHECK(node.wait(id).exit_code == 6);
  CHECK(node.log(id) == "stdout F hello\nstderr F done\n");

  ContainerConfig terminal = node.shell("head -n 1; tty; echo $TERM; stty size");
  terminal.tty = true;
  terminal.stdin_open = true;
  std::string shell = node.run(pod, terminal);
  Recorder three;
  auto third = attach(shell, three);
  third->resize(80, 25);
  third->write_stdin("in\n", {});
  REQUIRE(node.loop.run_until([&] { return three.code.has_value(); }, kPatience_ms));
  CHECK(three.code == 0);
  node.wait(shell);
  CHECK(
      node.log(shell) ==
      "stdout F in\r\nstdout F in\r\nstdout F /dev/pts/0\r\nstdout F xterm\r\nstdout F 25 80\r\n");
}

TEST_CASE("dial reaches what listens on localhost in the pod", "[root]") {
  TestNode node;
  std::string pod = node.sandbox();
  std::string id = node.run(pod, node.shell("echo answer | nc -l -p 8080"));
  int fd = -1;
  REQUIRE(node.loop.run_until(
      [&] {
        auto dialed = node.await<int>([&](auto done) { node.runtime().dial(pod, 8080, done); });
        if (dialed.ok()) fd = *dialed;
        return dialed.ok();
      },
      kPatience_ms));
  base::UniqueFd owned(fd);
  pollfd wait{fd, POLLIN, 0};
  REQUIRE(poll(&wait, 1, 10000) == 1);
  char buffer[16] = {};
  CHECK(read(fd, buffer, sizeof buffer) == 7);
  CHECK(std::string(buffer) == "answer\n");
  owned.reset();
  CHECK_FALSE(node.await<int>([&](auto done) { node.runtime().dial(pod, 1, done); }).ok());
}

// A frozen group holds what starts in it at its very first step, where only SIGKILL reaches it.
TEST_CASE("an exec whose helper is killed before it can report fails", "[root]") {
  TestNode node;
  Cgroups cgroups = Cgroups::of_this_machine(node.cgroup_root());
  std::string id = node.run(node.sandbox(), node.shell("sleep 1000"));
  std::string group = cgroups.unified_folder("kubepods/burstable/poduid-0/" + id);
  if (access((group + "/cgroup.freeze").c_str(), W_OK) != 0) return;
  REQUIRE(node.exec(id, {"true"}).ok());
  int first = members(group).at(0);
  std::ofstream(group + "/cgroup.freeze") << "1";
  std::optional<Result<ExecResult>> answer;
  node.runtime().exec_sync(id, {"true"}, 0,
                           [&](Result<ExecResult> result) { answer = std::move(result); });
  REQUIRE(node.loop.run_until(
      [&] {
        node.loop.defer([] {});
        return members(group).size() > 1;
      },
      kPatience_ms));
  for (int pid : members(group)) {
    if (pid != first) CHECK(kill(pid, SIGKILL) == 0);
  }
  bool came = node.loop.run_until([&] { return answer.has_value(); }, kPatience_ms);
  std::ofstream(group + "/cgroup.freeze") << "0";
  REQUIRE(came);
  REQUIRE_FALSE(answer->ok());
  CHECK(answer->error().message.find("the process that was to start it has died") !=
        std::string::npos);
}

TEST_CASE("a run that is under way when the runtime ends is answered by nobody", "[root]") {
  TestNode node;
  std::string id = node.run(node.sandbox(), node.shell("sleep 1000"));
  bool answered = false;
  node.runtime().exec_sync(id, {"sleep", "1000"}, 300,
                           [&](const Result<ExecResult>&) { answered = true; });
  node.loop.run_until([] { return false; }, 100);
  node.stop_runtime();
  node.loop.run_until([] { return false; }, 400);
  CHECK_FALSE(answered);
  node.start_runtime();
}

TEST_CASE("a container in the pid namespace of another sees its processes, and ends with it",
          "[root]") {
  TestNode node;
  std::string pod = node.sandbox();
  std::string target = node.run(pod, node.shell("sleep 1001"));
  std::string other = node.run(pod, node.shell("sleep 1002"));
  ContainerConfig config = node.shell("sleep 1003");
  config.pid_target = target;
  std::string id = node.run(pod, config);
  std::string seen = node.exec(id, {"ps"})->output;
  CHECK(seen.find("sleep 1001") != std::string::npos);
  CHECK(seen.find("sleep 1003") != std::string::npos);
  CHECK(seen.find("sleep 1002") == std::string::npos);
  CHECK(node.exec(target, {"ps"})->output.find("sleep 1003") != std::string::npos);
  // The next container of the pod is again one of its own.
  std::string later = node.run(pod, node.shell("sleep 1004"));
  CHECK(node.exec(later, {"ps"})->output.find("sleep 1001") == std::string::npos);

  REQUIRE(
      node.await<void>([&](auto done) { node.runtime().stop_container(target, 0, done); }).ok());
  CHECK(node.wait(id).exit_code == 137);
  config.attempt = 1;
  Result<std::string> late = node.create(pod, config);
  REQUIRE_FALSE(late.ok());
  CHECK(late.error().message ==
        "invalid target container: container \"" + target + "\" is not running");
}

TEST_CASE("a debugging container outlives its shim's connection and a restart of knarr", "[root]") {
  TestNode node;
  std::string pod = node.sandbox();
  std::string target = node.run(pod, node.shell("sleep 1001"));
  ContainerConfig config = node.shell("sleep 1003");
  config.pid_target = target;
  std::string id = node.run(pod, config);
  node.stop_runtime();
  node.start_runtime();
  CHECK(node.exec(id, {"ps"})->output.find("sleep 1001") != std::string::npos);
  REQUIRE(node.await<void>([&](auto done) { node.runtime().stop_container(id, 0, done); }).ok());
  CHECK(node.exec(target, {"ps"})->output.find("sleep 1003") == std::string::npos);
}
