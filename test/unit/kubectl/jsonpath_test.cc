#include "cli/kubectl/jsonpath.h"

#include <catch2/catch.hpp>

#include "unit/kubectl/value.h"

using knarr::kubectl::JsonPath;

namespace {

const char kDocument[] = R"(
kind: List
items:
- kind: None
  metadata:
    name: 127.0.0.1
    labels: {kubernetes.io/hostname: 127.0.0.1}
  status:
    capacity: {cpu: "4"}
    addresses: [{type: LegacyHostIP, address: 127.0.0.1}]
- kind: None
  metadata: {name: 127.0.0.2}
  status:
    capacity: {cpu: "8"}
    addresses:
    - {type: LegacyHostIP, address: 127.0.0.2}
    - {type: another, address: 127.0.0.3}
users:
- {name: myself, user: {}, age: 20}
- {name: e2e, user: {username: admin, password: secret}, age: 30}
)";

}  // namespace

TEST_CASE("jsonpath templates") {
  struct Case {
    const char* text;
    const char* expected;
  };
  const Case cases[] = {
      {"kind is {.kind}", "kind is List"},
      {"{.kind}", "List"},
      {"{['kind']}", "List"},
      {"{$.kind}", "List"},
      {"{.items[*].metadata.name}", "127.0.0.1 127.0.0.2"},
      {"{.items[0].metadata.name}", "127.0.0.1"},
      {"{.items[-1].metadata.name}", "127.0.0.2"},
      {"{.items[0:1].metadata.name}", "127.0.0.1"},
      {"{.items[:].metadata.name}", "127.0.0.1 127.0.0.2"},
      {"{.items[0,1].metadata.name}", "127.0.0.1 127.0.0.2"},
      {"{.items[*]['metadata.name', 'status.capacity']}", ""},
      {"{.items[*].status.capacity.cpu}", "4 8"},
      {"{.users[?(@.name==\"e2e\")].user.password}", "secret"},
      {"{.users[?(@.age>25)].name}", "e2e"},
      {"{.users[?(@.age<=20)].name}", "myself"},
      {"{.users[?(@.user.username)].name}", "e2e"},
      {"{..address}", "127.0.0.1 127.0.0.2 127.0.0.3"},
      {"{range .items[*]}[{.metadata.name}, {.status.capacity.cpu}] {end}",
       "[127.0.0.1, 4] [127.0.0.2, 8] "},
      {"{range .items[*]}{.metadata.name}{\"\\t\"}{.kind}{\"\\n\"}{end}",
       "127.0.0.1\tNone\n127.0.0.2\tNone\n"},
      {"{.items[0].metadata.labels.kubernetes\\.io/hostname}", "127.0.0.1"},
      {"{.items[0].status.capacity}", "{\"cpu\":\"4\"}"},
      {"{.users[0].age}", "20"},
      {"{.missing.field}", ""},
      {"plain", "plain"},
  };
  auto document = yaml(kDocument);
  for (const Case& c : cases) {
    INFO(c.text);
    auto path = JsonPath::parse(c.text);
    REQUIRE(path.ok());
    CHECK(path->render(document) == c.expected);
  }
}

TEST_CASE("jsonpath errors") {
  for (const char* text : {"{.items[*", "{range .items[*]}{.x}", "{end}", "{.items[?(@.x==)]}",
                           "{.a", "{hello}", "{.items[1:2:3:4]}", "{\"x}"}) {
    INFO(text);
    CHECK_FALSE(JsonPath::parse(text).ok());
  }
}

TEST_CASE("relaxed paths") {
  auto document = yaml("{status: {phase: Running}}");
  for (const char* text :
       {"status.phase", ".status.phase", "{.status.phase}", "{status.phase}", "$.status.phase"}) {
    INFO(text);
    CHECK(JsonPath::parse_relaxed(text)->render(document) == "Running");
  }
}
