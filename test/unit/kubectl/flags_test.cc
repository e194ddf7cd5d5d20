#include "cli/kubectl/flags.h"

#include <catch2/catch.hpp>

using namespace knarr::kubectl;

namespace {

constexpr FlagSpec kGlobal[] = {
    text_flag("namespace", 'n', ""),
    text_flag("server", 's', ""),
    bool_flag("help", 'h', ""),
};
constexpr FlagSpec kVerb[] = {
    bool_flag("stdin", 'i', ""),     bool_flag("tty", 't', ""),
    text_flag("container", 'c', ""), list_flag("filename", 'f', ""),
    bool_flag("wait", 0, ""),        bare_flag("dry-run", 0, "unchanged", ""),
    text_flag("output", 'o', ""),
};
constexpr std::span<const FlagSpec> kTables[] = {kGlobal, kVerb};

struct Case {
  std::vector<std::string> args;
  std::string flag;
  std::vector<std::string> values;
  std::vector<std::string> words;
};

}  // namespace

TEST_CASE("flags in kubectl's forms") {
  const Case cases[] = {
      {{"-n", "kube-system", "pods"}, "namespace", {"kube-system"}, {"pods"}},
      {{"-nkube-system"}, "namespace", {"kube-system"}, {}},
      {{"-n=kube-system"}, "namespace", {"kube-system"}, {}},
      {{"--namespace=a", "x", "--namespace", "b"}, "namespace", {"b"}, {"x"}},
      {{"-it", "web", "--", "sh", "-c", "ls"}, "tty", {"true"}, {"web", "sh", "-c", "ls"}},
      {{"-itc", "main", "web"}, "container", {"main"}, {"web"}},
      {{"-oyaml"}, "output", {"yaml"}, {}},
      {{"-f", "a.yaml,b.yaml", "-f-"}, "filename", {"a.yaml", "b.yaml", "-"}, {}},
      {{"--wait=false"}, "wait", {"false"}, {}},
      {{"--dry-run", "x"}, "dry-run", {"unchanged"}, {"x"}},
      {{"--dry-run=client"}, "dry-run", {"client"}, {}},
      {{"-f", "-"}, "filename", {"-"}, {}},
      {{"app-", "a=b"}, "wait", {}, {"app-", "a=b"}},
  };
  for (const Case& c : cases) {
    auto flags = Flags::parse(kTables, c.args);
    REQUIRE(flags.ok());
    CHECK(flags->all(c.flag) == c.values);
    CHECK(flags->words == c.words);
  }
}

TEST_CASE("where -- stood is kept") {
  CHECK(Flags::parse(kTables, {"web", "--", "ls"})->dash_at == 1);
  CHECK(Flags::parse(kTables, {"web", "ls"})->dash_at == -1);
  CHECK(Flags::parse(kTables, {"--", "ls"})->dash_at == 0);
}

TEST_CASE("wrong flags are told in kubectl's words") {
  auto message = [](std::vector<std::string> args) {
    return Flags::parse(kTables, args).error().message;
  };
  CHECK(message({"--foo"}) == "unknown flag: --foo");
  CHECK(message({"-z"}) == "unknown shorthand flag: 'z' in -z");
  CHECK(message({"--output"}) == "flag needs an argument: --output");
  CHECK(message({"-o"}) == "flag needs an argument: 'o' in -o");
  CHECK(message({"--wait=x"}) ==
        "invalid argument \"x\" for \"--wait\" flag: strconv.ParseBool: parsing \"x\": invalid "
        "syntax");
}

TEST_CASE("the verb is the first word that is no flag's value") {
  CHECK(first_word(kGlobal, {"-n", "get", "get", "pods"}) == 2);
  CHECK(first_word(kGlobal, {"--namespace=x", "get"}) == 1);
  CHECK(first_word(kGlobal, {"--help"}) == 1);
  CHECK(first_word(kGlobal, {"-s", "http://x", "logs"}) == 2);
}

TEST_CASE("numbers and durations") {
  static constexpr FlagSpec kTime[] = {text_flag("timeout", 0, ""), text_flag("tail", 0, "")};
  static constexpr std::span<const FlagSpec> kTimes[] = {kTime};
  auto flags = Flags::parse(kTimes, {"--timeout=1m30s", "--tail=x"});
  CHECK(*flags->duration("timeout", 0) == 90'000'000'000);
  CHECK(*Flags::parse(kTimes, {"--timeout=5"})->duration("timeout", 0) == 5'000'000'000);
  CHECK(*Flags::parse(kTimes, {})->duration("timeout", 7) == 7);
  CHECK_FALSE(flags->number("tail", 0).ok());
  CHECK(*Flags::parse(kTimes, {"--tail=-1"})->number("tail", 0) == -1);
}
