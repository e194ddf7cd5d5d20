#include <catch2/catch.hpp>

#include "cli/kubectl/json_text.h"
#include "cli/kubectl/jsonpath.h"
#include "cli/kubectl/output.h"
#include "cli/kubectl/tab_writer.h"
#include "cli/kubectl/table_text.h"
#include "unit/kubectl/value.h"

using namespace knarr::kubectl;

TEST_CASE("columns as text/tabwriter sets them") {
  struct Case {
    const char* text;
    const char* expected;
  };
  // Blocks of neighbouring lines share widths; the last cell is not padded.
  const Case cases[] = {
      {"", ""},
      {"Name:\tweb\nNamespace:\tdefault\n", "Name:       web\nNamespace:  default\n"},
      {"a:\tb\nplain\nlonger:\tc\n", "a:  b\nplain\nlonger:  c\n"},
      {"Labels:\ta=b\n\tc=d\n", "Labels:  a=b\n         c=d\n"},
      {"x\ty\tz\nxxx\tyyyy\n", "x    y  z\nxxx  yyyy\n"},
      {"ü:\tb\nab:\tc\n", "ü:   b\nab:  c\n"},
      {"a\t\tb\nc\t\td\n", "a    b\nc    d\n"},
  };
  for (const Case& c : cases) CHECK(set_in_columns(c.text) == c.expected);
}

TEST_CASE("a writer that remembers keeps its columns wide") {
  TabWriter writer(6, 3, true);
  writer.write("NAME\tSTATUS\nlong-name\tx\n");
  CHECK(writer.flush() == "NAME        STATUS\nlong-name   x\n");
  writer.write("a\tb\n");
  CHECK(writer.flush() == "a           b\n");
}

namespace {

const char kTable[] = R"(
columnDefinitions:
- {name: Name, type: string, format: name, priority: 0}
- {name: Ready, type: string, priority: 0}
- {name: Restarts, type: integer, priority: 0}
- {name: IP, type: string, priority: 1}
rows:
- cells: [web-1, 1/1, 0, 10.42.0.5]
  object: {metadata: {name: web-1, namespace: default, labels: {app: web, tier: front}}}
- cells: [web-with-a-long-name, 0/1, 12, "line\nbreak"]
  object: {metadata: {name: web-with-a-long-name, namespace: default}}
)";

std::string laid_out(const TableOptions& options) {
  auto table = yaml(kTable);
  TabWriter writer(6, 3);
  writer.write(table_header(table["columnDefinitions"], options));
  for (const auto& row : table["rows"].elements()) {
    writer.write(table_row(table["columnDefinitions"], row, options));
  }
  return writer.flush();
}

}  // namespace

TEST_CASE("tables") {
  CHECK(laid_out({}) ==
        "NAME                   READY   RESTARTS\n"
        "web-1                  1/1     0\n"
        "web-with-a-long-name   0/1     12\n");
  TableOptions wide;
  wide.wide = true;
  CHECK(laid_out(wide) ==
        "NAME                   READY   RESTARTS   IP\n"
        "web-1                  1/1     0          10.42.0.5\n"
        "web-with-a-long-name   0/1     12         line...\n");
  TableOptions labelled;
  labelled.with_namespace = true;
  labelled.show_labels = true;
  labelled.label_columns = {"app"};
  labelled.kind_prefix = "pod";
  CHECK(laid_out(labelled) ==
        "NAMESPACE   NAME                       READY   RESTARTS   APP   LABELS\n"
        "default     pod/web-1                  1/1     0          web   app=web,tier=front\n"
        "default     pod/web-with-a-long-name   0/1     12               <none>\n");
}

TEST_CASE("an answer that is no table gets name and age") {
  auto list = yaml("{items: [{metadata: {name: a, creationTimestamp: '1970-01-01T00:00:10Z'}}]}");
  auto table = plain_table(list, 70'000'000);
  CHECK(table_row(table["columnDefinitions"], table["rows"][0], {}) == "a\t60s\n");
}

TEST_CASE("sorted by a path, numbers as numbers") {
  auto table = yaml(
      "{rows: [{object: {count: 10, s: b}, cells: [x]}, {object: {count: 9, s: c}, cells: [w]}, "
      "{object: {s: a}, cells: [z]}]}");
  sort_rows(table, *JsonPath::parse("{.s}"));
  CHECK(sorted_json(table["rows"][0]["cells"]) == "[\"z\"]");
  table = yaml("{rows: [{object: {count: 10}, cells: [x]}, {object: {count: 9}, cells: [w]}]}");
  sort_rows(table, *JsonPath::parse("{.count}"));
  CHECK(sorted_json(table["rows"][0]["cells"]) == "[\"w\"]");
}

TEST_CASE("json as Go writes maps") {
  auto value = yaml("{b: [1, {x: 'a<b&c>'}], a: {}, c: [], d: null}");
  CHECK(sorted_json(value) == R"({"a":{},"b":[1,{"x":"a\u003cb\u0026c\u003e"}],"c":[],"d":null})");
  CHECK(indented_json(yaml("{b: [1], a: {}}")) ==
        "{\n    \"a\": {},\n    \"b\": [\n        1\n    ]\n}\n");
}

TEST_CASE("custom columns") {
  auto columns = parse_custom_columns("NAME:.metadata.name,IMAGES:.spec.c[*].image");
  REQUIRE(columns.ok());
  std::vector<knarr::json::Value> objects = {
      yaml("{metadata: {name: a}, spec: {c: [{image: x}, {image: w}]}}"),
      yaml("{metadata: {name: b}}")};
  CHECK(custom_columns(*columns, objects, true) == "NAME   IMAGES\na      x,w\nb      <none>\n");
  CHECK(custom_columns(*columns, objects, false) == "a     x,w\nb     <none>\n");
  CHECK_FALSE(parse_custom_columns("NAME").ok());
}
