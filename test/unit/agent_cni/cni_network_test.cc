// Attachments by plug-ins that are shell scripts: they write down what they were asked.
#include "agent/cni/cni_network.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "base/file.h"
#include "temp_dir.h"

using namespace knarr;
using namespace knarr::agent;

namespace {

constexpr int64_t kLimitMs = 20'000;
constexpr char kAddress[] = R"({"ips":[{"address":"10.9.0.2/24"}]})";

struct Node {
  Node() {
    write("netns", "");
    start();
  }
  void start(int64_t timeout_ms = 10'000) {
    network = nullptr;
    CniOptions options;
    options.conf_dir = dir / "net.d";
    options.plugins = {{dir / "none", dir / "bin"}, timeout_ms};
    options.state_dir = dir / "state";
    network = std::make_unique<CniNetwork>(loop, options);
    network->on_readiness([this] { readiness++; });
    REQUIRE(network->start().ok());
  }
  void write(const std::string& name, const std::string& text) {
    REQUIRE(base::write_file(dir / name, text).ok());
  }
  // A plug-in that logs, and then does what `script` says.
  void plugin(const std::string& name, const std::string& script) {
    REQUIRE(base::make_dirs(dir / "bin").ok());
    write("bin/" + name, "#!/bin/sh\nconf=$(cat)\necho \"" + name +
                             " $CNI_COMMAND $CNI_NETNS $conf\" >>" + (dir / "log") + "\n" + script +
                             "\n");
    chmod((dir / ("bin/" + name)).c_str(), 0755);
  }
  void configure(const std::string& plugins, const std::string& name = "net") {
    write("net.d/10.conflist",
          R"({"cniVersion":"1.0.0","name":")" + name + R"(","plugins":[)" + plugins + "]}");
  }
  void plain_plugins() {
    plugin("first", std::string("[ $CNI_COMMAND = DEL ] || echo '") + kAddress + "'");
    plugin("second",
           "[ $CNI_COMMAND = DEL ] || echo '{\"dns\":{},\"ips\":[{\"address\":\"10.9.0.3/24\"}]}'");
    configure(R"({"type":"first"},{"type":"second"})");
    start();
  }
  std::string attach(const std::string& sandbox) {
    auto object = std::make_shared<Object>();
    object->name = {"default", "p"};
    object->json = R"({"metadata":{"name":"p","namespace":"default","uid":"u"},
        "spec":{"containers":[{"name":"c","image":"i"}]}})";
    std::string answer;
    network->attach(*Pod::parse(object), sandbox, dir / "netns",
                    [&](const Result<std::vector<std::string>>& ips) {
                      answer = ips.ok() ? ips->at(0) : ips.error().message;
                    });
    loop.run_until([&] { return !answer.empty(); }, kLimitMs);
    return answer;
  }
  std::string detach(const std::string& sandbox) {
    std::string answer;
    network->detach(sandbox, [&](const Result<void>& result) {
      answer = result.ok() ? "ok" : result.error().message;
    });
    loop.run_until([&] { return !answer.empty(); }, kLimitMs);
    return answer;
  }
  // What the plug-ins were asked since the last time: "first ADD".
  std::vector<std::string> asked() {
    std::vector<std::string> out;
    auto text = base::read_file(dir / "log");
    std::string all = text.ok() ? *text : "";
    std::filesystem::remove(dir / "log");
    for (size_t at = 0; at < all.size(); at = all.find('\n', at) + 1) {
      out.push_back(all.substr(at, all.find('\n', at) - at));
    }
    return out;
  }
  bool kept(const std::string& sandbox) { return base::file_exists(dir / ("state/" + sandbox)); }

  test::TempDir dir;
  base::Loop loop;
  int readiness = 0;
  std::unique_ptr<CniNetwork> network;
};

bool begins(const std::string& text, const std::string& with) { return text.starts_with(with); }

}  // namespace

TEST_CASE("cni: ready when there is a configuration, and not when it goes") {
  Node node;
  CHECK(node.network->not_ready() ==
        "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady "
        "message:Network plugin returns error: cni plugin not initialized");
  CHECK(node.attach("s1") == "cni plugin not initialized");
  node.configure(R"({"type":"first"})");
  REQUIRE(node.loop.run_until([&] { return node.readiness == 1; }, kLimitMs));
  CHECK(node.network->not_ready().empty());
  std::filesystem::remove(node.dir / "net.d/10.conflist");
  REQUIRE(node.loop.run_until([&] { return node.readiness == 2; }, kLimitMs));
  CHECK(!node.network->not_ready().empty());
  // The folder itself goes, and comes again.
  std::filesystem::remove_all(node.dir / "net.d");
  REQUIRE(node.loop.run_until([&] { return base::file_exists(node.dir / "net.d"); }, kLimitMs));
  node.configure(R"({"type":"first"})");
  REQUIRE(node.loop.run_until([&] { return node.readiness == 3; }, kLimitMs));
}

TEST_CASE("cni: a chain forwards and back") {
  Node node;
  node.plain_plugins();
  CHECK(node.attach("s1") == "10.9.0.3");
  auto asked = node.asked();
  REQUIRE(asked.size() == 2);
  CHECK(begins(asked[0], "first ADD " + (node.dir / "netns") + " {"));
  CHECK(asked[0].find("prevResult") == std::string::npos);
  CHECK(begins(asked[1], "second ADD"));
  CHECK(asked[1].find("\"prevResult\":{\"ips\":[{\"address\":\"10.9.0.2/24\"}]") !=
        std::string::npos);
  CHECK(node.attach("s1") == "10.9.0.3");  // known: nothing is asked
  CHECK(node.asked().empty());
  CHECK(node.detach("s1") == "ok");
  asked = node.asked();
  REQUIRE(asked.size() == 2);
  CHECK(begins(asked[0], "second DEL " + (node.dir / "netns") + " {"));
  CHECK(begins(asked[1], "first DEL"));
  CHECK(asked[1].find("10.9.0.3/24") != std::string::npos);
  CHECK(!node.kept("s1"));
  CHECK(node.detach("never") == "ok");
}

TEST_CASE("cni: what is attached is known to the next process, which frees the rest") {
  Node node;
  node.plain_plugins();
  CHECK(node.attach("s1") == "10.9.0.3");
  CHECK(node.attach("s2") == "10.9.0.3");
  node.asked();
  // The configuration is another by then, and the namespace of a process that has this path now.
  node.configure(R"({"type":"second"})", "other");
  node.start();
  CHECK(node.attach("s1") == "10.9.0.3");
  CHECK(node.asked().empty());
  std::filesystem::remove(node.dir / "netns");
  node.network->keep_only({"s1"});
  REQUIRE(node.loop.run_until([&] { return !node.kept("s2"); }, kLimitMs));
  auto asked = node.asked();
  REQUIRE(asked.size() == 2);
  CHECK(begins(asked[0], "second DEL  {"));
  CHECK(begins(asked[1], "first DEL  {"));
  CHECK(node.kept("s1"));
}

TEST_CASE("cni: what can't be read is detached with what is known of it") {
  Node node;
  node.plain_plugins();
  for (const char* box : {"s1", "s2", "s3"}) CHECK(node.attach(box) == "10.9.0.3");
  auto whole = base::read_file(node.dir / "state/s2");
  REQUIRE(whole.ok());
  auto record = *json::parse(*whole);
  record.set("config", "lost");
  node.write("state/s1", whole->substr(0, whole->size() / 2));
  node.write("state/s2", json::write(record));
  node.write("state/s3~", "somebody's");
  node.asked();
  std::filesystem::rename(node.dir / "net.d/10.conflist", node.dir / "kept");
  node.start();
  CHECK(node.detach("s1") == "cni plugin not initialized");
  node.network->keep_only({"s3"});
  CHECK(node.kept("s1"));
  CHECK(node.kept("s2"));
  CHECK(node.asked().empty());
  std::filesystem::rename(node.dir / "kept", node.dir / "net.d/10.conflist");
  REQUIRE(node.loop.run_until([&] { return !node.kept("s1") && !node.kept("s2"); }, kLimitMs));
  auto asked = node.asked();
  REQUIRE(asked.size() == 4);
  size_t with_namespace = 0, with_result = 0;
  for (const std::string& line : asked) {
    CHECK(line.find(" DEL ") != std::string::npos);
    with_namespace += line.find(node.dir / "netns") != std::string::npos ? 1 : 0;
    with_result += line.find("10.9.0.3/24") != std::string::npos ? 1 : 0;
  }
  CHECK(with_namespace == 2);  // of s2
  CHECK(with_result == 2);
  CHECK(node.kept("s3"));
  CHECK(node.kept("s3~"));
}

TEST_CASE("cni: a plug-in that fails, and its remains") {
  Node node;
  node.plugin("first", std::string("[ $CNI_COMMAND = DEL ] || echo '") + kAddress + "'");
  node.plugin("second", "echo '{\"code\":11,\"msg\":\"no more\"}'; exit 1");
  node.configure(R"({"type":"first"},{"type":"second"})");
  node.start();
  CHECK(node.attach("s1") == "plugin type=\"second\" failed (add): no more");
  CHECK(node.kept("s1"));
  CHECK(node.detach("s1") == "plugin type=\"second\" failed (delete): no more");
  CHECK(node.kept("s1"));
  node.plugin("second", "exit 0");
  REQUIRE(node.loop.run_until([&] { return !node.kept("s1"); }, kLimitMs));
  CHECK(begins(node.asked().back(), "first DEL"));

  node.configure(R"({"type":"absent"})");
  node.start();
  CHECK(node.attach("s2") ==
        "plugin type=\"absent\" failed (add): failed to find plugin \"absent\" in path [" +
            (node.dir / "none") + " " + (node.dir / "bin") + "]");
}

TEST_CASE("cni: one that hangs or floods is ended with all it started") {
  Node node;
  node.plugin("first", "sleep 1000 & sleep 1000");
  node.configure(R"({"type":"first"})");
  node.start(300);
  CHECK(node.attach("s1") ==
        "plugin type=\"first\" failed (add): netplugin failed with no error message: context "
        "deadline exceeded");
  node.plugin("first", "[ $CNI_COMMAND = DEL ] || exec cat /dev/zero");
  node.start();
  CHECK(node.detach("s1") == "ok");
  CHECK(begins(node.attach("s2"), "plugin type=\"first\" failed (add): netplugin failed but"));
  CHECK(node.detach("s2") == "ok");
}

TEST_CASE("cni 1.1: plug-ins say whether they are ready, and are told what is attached") {
  Node node;
  auto configure = [&](const char* more) {
    node.write("net.d/10.conflist", std::string(R"({"cniVersion":"1.1.0","name":"net",)") + more +
                                        R"("plugins":[{"type":"first"},{"type":"second"}]})");
  };
  std::string add = std::string("[ $CNI_COMMAND != ADD ] || echo '") + kAddress + "'";
  node.plugin("first", "[ $CNI_COMMAND != GC ] || exit 1\n" + add);
  node.plugin("second", "[ $CNI_COMMAND != STATUS ] || [ -e " + (node.dir / "up") +
                            " ] || { echo '{\"code\":50,\"msg\":\"not yet\"}'; exit 1; }\n" + add);
  configure("");
  node.start();
  REQUIRE(node.loop.run_until([&] { return node.readiness == 1; }, kLimitMs));
  CHECK(node.network->not_ready().ends_with("plugin type=\"second\" failed (status): not yet"));
  auto asked = node.asked();
  REQUIRE(asked.size() == 2);
  CHECK(begins(asked[1], "second STATUS  {"));
  node.write("up", "");
  REQUIRE(node.loop.run_until([&] { return node.network->not_ready().empty(); }, kLimitMs));
  CHECK(node.attach("s1") == "10.9.0.2");
  node.asked();
  node.network->keep_only({"s1"});
  bool detached = false;
  node.loop.defer([&] {
    node.network->detach("s3", [&](const Result<void>& result) { detached = result.ok(); });
  });
  CHECK(node.attach("s3") == "the sandbox was detached");
  CHECK(detached);
  CHECK(node.attach("s2") == "10.9.0.2");
  REQUIRE(node.loop.run_until(
      [&] {
        auto log = base::read_file(node.dir / "log");
        return log.ok() && log->find("second GC") != std::string::npos;
      },
      kLimitMs));
  auto told = node.asked();
  REQUIRE(told.size() == 4);
  CHECK(begins(told[0], "first GC  {"));
  CHECK(begins(told[1], "second GC  {"));
  CHECK(begins(told[2], "first ADD"));
  CHECK(told[1].find(R"("cni.dev/valid-attachments":[{"containerID":"s1","ifname":"eth0"}])") !=
        std::string::npos);
  configure(R"("disableGC":true,)");
  node.start();
  REQUIRE(node.loop.run_until([&] { return node.network->not_ready().empty(); }, kLimitMs));
  node.network->keep_only({"s1"});
  CHECK(node.detach("s1") == "ok");
  for (const std::string& line : node.asked()) CHECK(line.find(" GC ") == std::string::npos);
}

TEST_CASE("cni: detached while it is being attached") {
  Node node;
  node.plugin("first", std::string("[ $CNI_COMMAND = DEL ] && exit; until [ -e ") +
                           (node.dir / "go") + " ]; do sleep 0.05; done; echo '" + kAddress + "'");
  node.configure(R"({"type":"first"})");
  node.start();
  bool detached = false;
  node.loop.defer([&] {
    node.network->detach("s1", [&](const Result<void>& result) { detached = result.ok(); });
    node.write("go", "");
  });
  CHECK(node.attach("s1") == "the sandbox was detached");
  REQUIRE(node.loop.run_until([&] { return detached; }, kLimitMs));
  CHECK(!node.kept("s1"));
}
