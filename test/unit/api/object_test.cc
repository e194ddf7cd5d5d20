#include "api/object.h"

#include <algorithm>
#include <string>

#include "api/codec/encode.h"
#include "catch2/catch.hpp"

using namespace knarr;
using namespace knarr::api;

TEST_CASE("resourceVersion is spliced into canonical JSON") {
  struct {
    const char* json;
    int64_t revision;
    const char* expected;
  } cases[] = {
      {R"({"metadata":{"name":"a","uid":"u","labels":{"x":"}"}},"data":{}})", 7,
       R"({"metadata":{"name":"a","uid":"u","resourceVersion":"7","labels":{"x":"}"}},"data":{}})"},
      {R"({"metadata":{"name":"a","resourceVersion":"7","generation":1}})", 12345,
       R"({"metadata":{"name":"a","resourceVersion":"12345","generation":1}})"},
      {R"({"kind":"List","metadata":{},"items":[]})", 3,
       R"({"kind":"List","metadata":{"resourceVersion":"3"},"items":[]})"},
      {R"({"metadata":{"labels":{}}})", 3, R"({"metadata":{"resourceVersion":"3","labels":{}}})"},
      {R"({"metadata":{"name":"a","resourceVersion":"7","x":1}})", 0,
       R"({"metadata":{"name":"a","x":1}})"},
      {R"({"metadata":{"resourceVersion":"7"}})", 0, R"({"metadata":{}})"},
      {R"({"metadata":{"resourceVersion":"7","x":1}})", 0, R"({"metadata":{"x":1}})"},
      {R"({"metadata":{"name":"a"},"data":{}})", 3,
       R"({"metadata":{"name":"a","resourceVersion":"3"},"data":{}})"},
      {R"({"message":"no metadata"})", 3, R"({"message":"no metadata"})"},
  };
  for (const auto& c : cases) CHECK(with_resource_version(c.json, c.revision) == c.expected);
}

TEST_CASE("an object knows what look-ups ask for") {
  auto value =
      json::parse(R"({"status":{"phase":"Running"},"spec":{"nodeName":"n1","hostNetwork":true},
    "metadata":{"name":"p","namespace":"ns","uid":"u1","labels":{"b":"2","a":"1"},
    "ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"r","uid":"u0","controller":true}]}})");
  REQUIRE(value.ok());
  const ResourceInfo& pods = *find_resource("", "v1", "pods");
  ObjectRef pod = make_object(pods, *value, 9);
  CHECK(pod->name.text() == "ns/p");
  CHECK(pod->revision == 9);
  CHECK(*pod->label("a") == "1");
  CHECK(*pod->field("spec.nodeName") == "n1");
  CHECK(*pod->field("spec.hostNetwork") == "true");
  CHECK(*pod->field("status.podIP") == "");
  CHECK(pod->field("spec.nope") == nullptr);
  CHECK(pod->controller()->name == "r");
  CHECK_FALSE(pod->deleting);
  CHECK(pod->json.find("\"uid\":\"u1\",\"resourceVersion\":\"9\",\"labels\"") != std::string::npos);

  auto again = make_object_from_json(pods, pod->json, 10);
  REQUIRE(again.ok());
  CHECK((*again)->json == with_revision(*pod, 10)->json);
  CHECK((*again)->fields == pod->fields);
}

TEST_CASE("selectable fields are sorted") {
  for (const ResourceInfo& r : builtin_resources()) {
    auto paths = selectable_fields(r);
    CHECK(std::is_sorted(paths.begin(), paths.end()));
  }
}
