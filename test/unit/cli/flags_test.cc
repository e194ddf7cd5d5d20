#include "cli/flags.h"

#include <catch2/catch.hpp>
#include <map>

using knarr::cli::FlagSet;
using knarr::json::Value;

namespace {

struct Options {
  std::string name = "n";
  int64_t port = 6443;
  bool off = false;
  std::vector<std::string> sans;
  std::vector<std::string> rest;
  FlagSet flags{"knarr test [flags]", "For the test."};

  Options() {
    flags.text("node-name", name, "NAME", "the name");
    flags.number("port", port, "PORT", "the port");
    flags.alias("p", "port");
    flags.boolean("disable-agent", off, "no node");
    flags.list("tls-san", sans, "NAME", "more names");
  }
};

const char* no_variable(const char*) { return nullptr; }

}  // namespace

TEST_CASE("flags in each of their forms") {
  Options o;
  auto result = o.flags.parse({"--node-name", "a", "x", "--port=1", "--disable-agent", "--tls-san",
                               "a,b", "--tls-san=c", "--", "--port"},
                              o.rest);
  REQUIRE(result.ok());
  CHECK(o.name == "a");
  CHECK(o.port == 1);
  CHECK(o.off);
  CHECK(o.sans == std::vector<std::string>{"a", "b", "c"});
  CHECK(o.rest == std::vector<std::string>{"x", "--port"});
  CHECK(o.flags.parse({"-p", "2", "--disable-agent=false"}, o.rest).ok());
  CHECK(o.port == 2);
  CHECK_FALSE(o.off);
}

TEST_CASE("what is wrong is said") {
  auto check = [](const std::vector<std::string>& args, const std::string& message) {
    Options o;
    auto result = o.flags.parse(args, o.rest);
    REQUIRE_FALSE(result.ok());
    CHECK(result.error().message == message);
  };
  check({"--nope"}, "unknown flag: --nope");
  check({"--port"}, "flag needs a value: --port");
  check({"--port", "x1"}, "--port wants a number, not \"x1\"");
  check({"--disable-agent=maybe"}, "--disable-agent wants true or false, not \"maybe\"");
}

TEST_CASE("the command line wins over variables, those over the file") {
  Options o;
  Value config = Value::object({{"node-name", "file"},
                                {"port", 1},
                                {"tls-san", Value::array({"f1", "f2"})},
                                {"disable-agent", true}});
  REQUIRE(o.flags.read_config(config, "config.yaml").ok());
  CHECK(o.sans.size() == 2);
  std::map<std::string, std::string> variables = {{"KNARR_NODE_NAME", "env"},
                                                  {"KNARR_TLS_SAN", "e1"}};
  REQUIRE(o.flags
              .read_environment([&](const char* name) -> const char* {
                auto it = variables.find(name);
                return it == variables.end() ? nullptr : it->second.c_str();
              })
              .ok());
  REQUIRE(o.flags.parse({"--tls-san", "c1"}, o.rest).ok());
  CHECK(o.name == "env");
  CHECK(o.port == 1);
  CHECK(o.off);
  CHECK(o.sans == std::vector<std::string>{"c1"});
}

TEST_CASE("a config file with an unknown name or a wrong kind is refused") {
  Options o;
  CHECK(o.flags.read_config(Value::object({{"nope", 1}}), "c.yaml").error().message ==
        "c.yaml: there is no flag \"nope\"");
  CHECK_FALSE(o.flags.read_config(Value::array(), "c.yaml").ok());
  CHECK_FALSE(o.flags.read_config(Value::object({{"port", Value::array()}}), "c.yaml").ok());
  CHECK(o.flags.read_environment(no_variable).ok());
}

TEST_CASE("help names every flag with its default") {
  Options o;
  REQUIRE(o.flags.parse({"--help"}, o.rest).ok());
  CHECK(o.flags.help_wanted());
  CHECK(o.flags.help().find("-p, --port PORT") != std::string::npos);
  CHECK(o.flags.help().find("(default 6443)") != std::string::npos);
}
