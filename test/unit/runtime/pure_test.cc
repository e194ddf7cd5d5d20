#include <sys/socket.h>

#include <catch2/catch.hpp>

#include "base/unique_fd.h"
#include "runtime/capabilities.h"
#include "runtime/cri_log.h"
#include "runtime/init.h"
#include "runtime/launch.h"
#include "runtime/seccomp.h"
#include "runtime/spec.h"
#include "runtime/wire.h"

using namespace knarr;
using namespace knarr::runtime;

TEST_CASE("capability sets follow the CRI's rules") {
  struct Row {
    bool privileged;
    std::vector<std::string> add, drop;
    uint64_t expected;
  };
  uint64_t all = all_capabilities();
  uint64_t net_raw = uint64_t{1} << 13;
  const Row rows[] = {
      {false, {}, {}, 0xa80425fb},
      {false, {"NET_RAW"}, {"ALL"}, net_raw},
      {false, {"ALL"}, {"NET_RAW"}, all & ~net_raw},
      {false, {"cap_sys_admin"}, {}, 0xa80425fb | uint64_t{1} << 21},
      {false, {}, {"CHOWN"}, 0xa80425fb & ~uint64_t{1}},
      {true, {}, {"ALL"}, all},
  };
  for (const Row& row : rows) {
    Result<uint64_t> set = capability_set(row.privileged, row.add, row.drop);
    REQUIRE(set.ok());
    CHECK(*set == row.expected);
  }
  CHECK_FALSE(capability_set(false, {"NO_SUCH"}, {}).ok());
}

TEST_CASE("lines are split as the CRI wants them") {
  struct Row {
    std::vector<std::string> writes;
    std::string expected;  // "F:line|P:part|"
  };
  std::string big(16384, 'x');
  const Row rows[] = {
      {{"a\nb\n"}, "F:a|F:b|"},
      {{"a", "b\n"}, "F:ab|"},
      {{"\n\n"}, "F:|F:|"},
      {{"end"}, "P:end|"},
      {{big + "\n"}, "F:" + big + "|"},
      {{big + "yz\n"}, "P:" + big + "|F:yz|"},
      {{big, "y", "z\nq"}, "P:" + big + "|F:yz|P:q|"},
  };
  for (const Row& row : rows) {
    std::string got;
    auto emit = [&](std::string_view line, bool partial) {
      got += (partial ? "P:" : "F:") + std::string(line) + "|";
    };
    LineSplitter splitter;
    for (const std::string& bytes : row.writes) splitter.add(bytes, emit);
    splitter.finish(emit);
    CHECK(got == row.expected);
  }
}

TEST_CASE("messages and their descriptors survive a socket, byte by byte") {
  int pair[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  base::UniqueFd a(pair[0]);
  base::UniqueFd b(pair[1]);
  Message out;
  out.body.set("op", "x").set("req", 7);
  out.blob = std::string("\0\1\2", 3);
  out.fds.emplace_back(dup(0));
  std::string bytes = frame(out);
  MessageReader reader;
  Message in;
  for (size_t i = 0; i < bytes.size(); i++) {
    CHECK_FALSE(*reader.next(in));
    const std::vector<base::UniqueFd> none;
    REQUIRE(*send_some(a.get(), bytes.substr(i, 1), i == 0 ? out.fds : none) == 1);
    REQUIRE(*reader.fill(b.get()));
  }
  REQUIRE(*reader.next(in));
  CHECK(in.body == out.body);
  CHECK(in.blob == out.blob);
  CHECK(in.fds.size() == 1);
  a.reset();
  CHECK_FALSE(*reader.fill(b.get()));
}

TEST_CASE("a message of impossible size is refused") {
  MessageReader reader;
  reader.feed(std::string(12, '\xff'));
  Message message;
  CHECK_FALSE(reader.next(message).ok());
}

TEST_CASE("records come back from JSON as they were") {
  ContainerRecord record;
  record.id = "x";
  record.config.env = {{"A", "1"}, {"B", "2"}};
  record.config.mounts.push_back({"/h", "/c", true, Mount::Propagation::kBidirectional});
  record.config.security.run_as_user = 5;
  record.config.security.seccomp.type = SeccompProfile::Type::kLocalhost;
  record.config.resources.unified["memory.high"] = "1";
  json::Value first = to_json(record);
  Result<ContainerRecord> back = parse_record<ContainerRecord>(json::write(first));
  REQUIRE(back.ok());
  CHECK(to_json(*back) == first);
  CHECK(back->config.security.run_as_group == -1);
}

TEST_CASE("command lines and environments join pod and image") {
  ImageConfig image;
  image.entrypoint = {"/e"};
  image.command = {"a", "b"};
  image.env = {"PATH=/bin", "X=image"};
  using Line = std::vector<std::string>;
  struct Row {
    Line command, args, expected;
  };
  const Row rows[] = {{{}, {}, {"/e", "a", "b"}},
                      {{}, {"z"}, {"/e", "z"}},
                      {{"c"}, {}, {"c"}},
                      {{"c"}, {"z"}, {"c", "z"}}};
  for (const Row& row : rows) {
    ContainerConfig config;
    config.command = row.command;
    config.args = row.args;
    CHECK(*command_line(config, image) == row.expected);
  }
  CHECK_FALSE(command_line(ContainerConfig(), ImageConfig()).ok());
  ContainerConfig config;
  config.env = {{"X", "pod"}, {"Y", "1"}};
  CHECK(environment(config, image, "h") == Line{"PATH=/bin", "HOSTNAME=h", "X=pod", "Y=1"});
}

TEST_CASE("signals have names and numbers") {
  CHECK(signal_number("SIGTERM") == 15);
  CHECK(signal_number("quit") == 3);
  CHECK(signal_number("9") == 9);
  CHECK(signal_number("") == 0);
  CHECK(signal_number("NOPE") == 0);
}

TEST_CASE("executables are looked up as users are told") {
  std::vector<std::string> env = {"PATH=/nowhere:/bin"};
  CHECK(*find_executable("sh", env) == "/bin/sh");
  CHECK(*find_executable("/bin/sh", env) == "/bin/sh");
  CHECK(find_executable("no-such", env).error().message ==
        "exec: \"no-such\": executable file not found in $PATH");
  CHECK(find_executable("/no/such", env).error().message ==
        "exec: \"/no/such\": stat /no/such: no such file or directory");
  CHECK(find_executable("/etc/passwd", env).error().message ==
        "exec: \"/etc/passwd\": permission denied");
  CHECK(find_executable("/etc", env).error().message == "exec: \"/etc\": is a directory");
}

TEST_CASE("the default seccomp profile compiles and grows with capabilities") {
  Result<std::string> plain = compile_seccomp(default_seccomp(default_capabilities()));
  Result<std::string> admin = compile_seccomp(default_seccomp(all_capabilities()));
  REQUIRE(plain.ok());
  REQUIRE(admin.ok());
  CHECK(plain->size() % 8 == 0);
  CHECK(plain->size() > 1000);
  CHECK(admin->size() / 8 < 4096);
  CHECK(*plain != *admin);
}

TEST_CASE("seccomp profiles of the OCI's form") {
  Result<SeccompRules> rules = parse_seccomp(R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
      {"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":1,
       "args":[{"index":1,"value":511,"op":"SCMP_CMP_NE"}]}]})");
  REQUIRE(rules.ok());
  CHECK(rules->rules[0].names.size() == 2);
  CHECK(compile_seccomp(*rules).ok());
  CHECK_FALSE(parse_seccomp(R"({"defaultAction":"SCMP_ACT_NOPE"})").ok());
  rules->rules[0].arguments[0].op = "SCMP_CMP_NOPE";
  CHECK_FALSE(compile_seccomp(*rules).ok());
}

TEST_CASE("who is not kept from devices may not make nodes of them") {
  SandboxRecord sandbox;
  ContainerRecord container;
  container.config.command = {"true"};
  ImageConfig image;
  MountPlan plan;
  Cgroups cgroups(CgroupMounts(), "none");
  auto capabilities = [&](bool limited, bool privileged) {
    container.config.security.privileged = privileged;
    LaunchInput input{sandbox, container, image, plan, cgroups, "/folder", 0, 0, limited};
    return make_launch_spec(input)->capabilities;
  };
  CHECK(capabilities(true, false) == default_capabilities());
  CHECK(capabilities(false, false) == (default_capabilities() & ~(uint64_t{1} << 27)));
  CHECK(capabilities(false, true) == all_capabilities());
}
