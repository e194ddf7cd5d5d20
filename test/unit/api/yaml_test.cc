#include "api/codec/yaml.h"

#include <string>

#include "api/codec/encode.h"
#include "catch2/catch.hpp"

using namespace knarr;
using namespace knarr::api;

namespace {

std::string as_json(std::string_view yaml) {
  auto document = parse_yaml(yaml);
  if (!document.ok()) return document.error().message;
  std::string out;
  append_any_json(out, document->value);
  return out;
}

}  // namespace

TEST_CASE("YAML 1.1 scalars") {
  struct {
    const char* yaml;
    const char* json;
  } cases[] = {
      {"yes", "true"},
      {"y", "true"},
      {"Off", "false"},
      {"n", "false"},
      {"'yes'", "\"yes\""},
      {"~", "null"},
      {"", "null"},
      {"null", "null"},
      {"010", "8"},
      {"0o17", "15"},
      {"0x1F", "31"},
      {"0b11", "3"},
      {"1_000", "1000"},
      {"-5", "-5"},
      {"+5", "5"},
      {"1e3", "1000"},
      {"1.5", "1.5"},
      {"1.0", "1"},
      {".5", "0.5"},
      {"007x", "\"007x\""},
      {"1.2.3", "\"1.2.3\""},
      {"2001-01-01", "\"2001-01-01\""},
      {"08", "8"},
      {"12345678901234567890", "12345678901234567890"},
      {"!!str 5", "\"5\""},
      {"\"5\"", "\"5\""},
      {"- a\n- 1", "[\"a\",1]"},
      {"{b: 1, a: {c: }}", R"({"a":{"c":null},"b":1})"},
      {"y: 1", R"({"true":1})"},
      {"5: x", R"({"5":"x"})"},
      {"a: |\n  x\n  y\n", R"({"a":"x\ny\n"})"},
      {"a: &x {k: 1}\nb: *x", R"({"a":{"k":1},"b":{"k":1}})"},
      {"a: &x {k: 1}\nb: {<<: *x, j: 2}", R"({"a":{"k":1},"b":{"j":2,"k":1}})"},
      {"a: 1\n---\nb: 2", R"({"a":1})"},
      {"s: 'it''s'", R"({"s":"it's"})"},
      {"1:30", "\"1:30\""},
  };
  for (const auto& c : cases) CHECK(as_json(c.yaml) == c.json);
}

TEST_CASE("YAML errors and duplicates") {
  CHECK(as_json("a: [1").find("yaml: ") == 0);
  auto document = parse_yaml("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n");
  REQUIRE(document.ok());
  CHECK(document->duplicate_keys ==
        std::vector<std::string>{"line 4: key \"c\" already set in map",
                                 "line 5: key \"a\" already set in map"});
  std::string bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n";
  for (char c = 'b'; c < 'k'; c++) {
    bomb += std::string(1, c) + ": &" + c + " [";
    for (int i = 0; i < 9; i++)
      bomb += std::string(i > 0 ? "," : "") + "*" + static_cast<char>(c - 1);
    bomb += "]\n";
  }
  CHECK(as_json(bomb) == "yaml: document contains excessive aliasing");
  CHECK(as_json(std::string(5000, '[')).find("yaml: ") == 0);
}

TEST_CASE("a stream of documents") {
  auto documents = parse_yaml_stream("---\na: 1\n---\n# nothing\n---\nb: 2\n");
  REQUIRE(documents.ok());
  REQUIRE(documents->size() == 2);
  CHECK((*documents)[1]["b"].as_int() == 2);
  CHECK(parse_yaml_stream("{a: 1}, \"b\"9 10}").error().message ==
        "yaml: did not find expected <document start>");
}

TEST_CASE("YAML is written as kubectl prints it, and reads back") {
  auto value = json::parse(
      R"({"kind":"X","a":{"list":[{"n":1,"m":[]},"yes",["x"]],"empty":{}},"s":"two\nlines\n","q":"true",
    "n":"5","quote":"'tis: so","time":"1:30","date":"2026-01-01T00:00:00Z","colon":"a: b","null":null,"e":"","star":"*","cut":"x\ny","neg":-1.5})");
  REQUIRE(value.ok());
  std::string text = write_yaml(*value);
  CHECK(text ==
        "a:\n  empty: {}\n  list:\n  - m: []\n    \"n\": 1\n  - \"yes\"\n  - - x\ncolon: 'a: "
        "b'\ncut: "
        "|-\n  x\n  y\n"
        "date: \"2026-01-01T00:00:00Z\"\ne: \"\"\nkind: X\n\"n\": \"5\"\nneg: -1.5\n\"null\": "
        "null\nq: "
        "\"true\"\nquote: '''tis: so'\ns: |\n"
        "  two\n  lines\nstar: '*'\ntime: \"1:30\"\n");
  auto again = parse_yaml(text);
  REQUIRE(again.ok());
  CHECK(again->value == *value);
}
