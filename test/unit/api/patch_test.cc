#include <string>

#include "api/codec/encode.h"
#include "api/patch/json_patch.h"
#include "api/patch/merge_patch.h"
#include "api/patch/strategic_merge.h"
#include "catch2/catch.hpp"

using namespace knarr;
using namespace knarr::api;

namespace {

json::Value value(std::string_view text) {
  auto parsed = json::parse(text);
  REQUIRE(parsed.ok());
  return std::move(*parsed);
}

std::string text_of(Result<json::Value> result) {
  if (!result.ok()) return result.error().message;
  std::string out;
  append_any_json(out, *result);
  return out;
}

std::string strategic(const char* kind, const char* group, std::string_view document,
                      std::string_view patch) {
  return text_of(
      apply_strategic_merge(*find_type(group, "v1", kind), value(document), value(patch)));
}

}  // namespace

TEST_CASE("JSON patch") {
  const char* refused = "the server rejected our request due to an error in our request";
  struct {
    const char* document;
    const char* patch;
    const char* expected;
  } cases[] = {
      {R"({"a":1})", R"([{"op":"add","path":"/b","value":2}])", R"({"a":1,"b":2})"},
      {R"({"a":1})", R"([{"op":"replace","path":"/b","value":2}])", R"({"a":1,"b":2})"},
      {R"({"a":1})", R"([{"op":"remove","path":"/b"}])", refused},
      {R"({"a":[1,2]})",
       R"([{"op":"add","path":"/a/-","value":3},{"op":"add","path":"/a/0","value":0}])",
       R"({"a":[0,1,2,3]})"},
      {R"({"a":[1,2]})", R"([{"op":"remove","path":"/a/-1"}])", R"({"a":[1]})"},
      {R"({"a":[1,2]})", R"([{"op":"add","path":"/a/3","value":0}])", refused},
      {R"({"a":[1,2]})", R"([{"op":"replace","path":"/a/5","value":0}])", refused},
      {R"({"a":1})", R"([{"op":"copy","from":"/x","path":"/b"}])", R"({"a":1,"b":""})"},
      {R"({"a":1})", R"([{"op":"move","from":"/a","path":"/b"}])", R"({"b":1})"},
      {R"({"a":1})", R"([{"op":"move","from":"/x","path":"/b"}])", refused},
      {R"({"a":1})", R"([{"op":"test","path":"/b","value":null}])", R"({"a":1})"},
      {R"({"a":1})", R"([{"op":"test","path":"/a","value":2}])", refused},
      {R"({"a":1})", R"([{"op":"add","path":"/b"}])", R"({"a":1,"b":null})"},
      {R"({"a/b":{"~":1}})", R"([{"op":"replace","path":"/a~1b/~0","value":2}])",
       R"({"a/b":{"~":2}})"},
      {R"({"a":1})", R"([{"op":"explode","path":"/a"}])", refused},
      {R"({"a":1})", R"([{"op":"add","path":"/x/y","value":1}])", refused},
      {R"({"a":1})", R"({"op":"add"})",
       "error decoding patch: json: cannot unmarshal object into Go value of type "
       "[]handlers.jsonPatchOp"},
      {R"({"a":1})", "{", "error decoding patch: unexpected end of JSON input"},
  };
  for (const auto& c : cases)
    CHECK(text_of(apply_json_patch(value(c.document), c.patch)) == c.expected);

  std::string many = "[";
  for (int i = 0; i < 10001; i++)
    many += std::string(i > 0 ? "," : "") + R"({"op":"test","path":"/b","value":null})";
  CHECK(apply_json_patch(value("{}"), many + "]").error().code == Code::kRequestEntityTooLarge);
  CHECK(apply_json_patch(value("{}"), R"([{"op":"x"}])").error().code == Code::kInvalid);
}

TEST_CASE("merge patch") {
  struct {
    const char* document;
    const char* patch;
    const char* expected;
  } cases[] = {
      {R"({"a":"b"})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"b"})", R"({"b":"c"})", R"({"a":"b","b":"c"})"},
      {R"({"a":"b","b":"c"})", R"({"a":null})", R"({"b":"c"})"},
      {R"({"a":["b"]})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"},
      {R"({"a":"foo"})", R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"},
      {R"({"e":null})", R"({"a":1})", R"({"e":null,"a":1})"},
      {R"([1,2])", R"({"a":"b","c":null})", R"({"a":"b"})"},
  };
  for (const auto& c : cases) {
    CHECK(text_of(apply_merge_patch(value(c.document), value(c.patch))) == c.expected);
  }
}

TEST_CASE("strategic merge of lists by key") {
  const char* document =
      R"({"containers":[{"name":"a","image":"1","env":[{"name":"E","value":"1"}]},{"name":"b","image":"2"}],"volumes":[{"name":"v","emptyDir":{}}],"tolerations":[{"key":"x"}]})";
  struct {
    const char* patch;
    const char* expected;
  } cases[] = {
      {R"({"containers":[{"name":"b","image":"new"}]})",
       R"({"containers":[{"name":"a","image":"1","env":[{"name":"E","value":"1"}]},{"name":"b","image":"new"}],"volumes":[{"name":"v","emptyDir":{}}],"tolerations":[{"key":"x"}]})"},
      {R"({"containers":[{"name":"c","image":"3"}]})",
       R"({"containers":[{"name":"c","image":"3"},{"name":"a","image":"1","env":[{"name":"E","value":"1"}]},{"name":"b","image":"2"}],"volumes":[{"name":"v","emptyDir":{}}],"tolerations":[{"key":"x"}]})"},
      {R"({"containers":[{"name":"a","$patch":"delete"}],"tolerations":[{"key":"y"}]})",
       R"({"containers":[{"name":"b","image":"2"}],"volumes":[{"name":"v","emptyDir":{}}],"tolerations":[{"key":"y"}]})"},
      {R"({"containers":[{"$patch":"replace"},{"name":"solo"}]})",
       R"({"containers":[{"name":"solo"}],"volumes":[{"name":"v","emptyDir":{}}],"tolerations":[{"key":"x"}]})"},
      {R"({"volumes":[{"name":"v","hostPath":{"path":"/x"},"$retainKeys":["name","hostPath"]}]})",
       R"({"containers":[{"name":"a","image":"1","env":[{"name":"E","value":"1"}]},{"name":"b","image":"2"}],"volumes":[{"name":"v","hostPath":{"path":"/x"}}],"tolerations":[{"key":"x"}]})"},
      {R"({"$setElementOrder/containers":[{"name":"b"},{"name":"a"}],"containers":[{"name":"b","image":"ord"}]})",
       R"({"containers":[{"name":"b","image":"ord"},{"name":"a","image":"1","env":[{"name":"E","value":"1"}]}],"volumes":[{"name":"v","emptyDir":{}}],"tolerations":[{"key":"x"}]})"},
      {R"({"containers":null,"volumes":[],"tolerations":null})",
       R"({"volumes":[{"name":"v","emptyDir":{}}]})"},
      {R"({"containers":[{"image":"noname"}]})",
       "map: map[image:noname] does not contain declared merge key: name"},
      {R"({"containers":[{"$patch":"bogus","name":"solo"}]})",
       "unknown patch type: bogus in map: map[$patch:bogus name:solo]"},
      {R"({"$patch":"what"})", "unknown patch type: what in map: map[$patch:what]"},
      {R"({"$patch":"replace","nodeName":"n"})", R"({"nodeName":"n"})"},
      {R"({"$patch":"delete"})", "{}"},
      {R"({"$retainKeys":"x","nodeName":"n"})", "invalid patch format of retainKeys"},
      {R"({"$retainKeys":["nope"],"nodeName":"n"})", "invalid patch format of retainKeys"},
      {R"({"$setElementOrder/containers":[{"name":"b"}],"containers":[{"name":"a","image":"x"}]})",
       "The order in patch list:\n[map[image:x name:a]]\n doesn't match $setElementOrder "
       "list:\n[map[name:b]]\n"},
      {"[]", "json: cannot unmarshal array into Go value of type map[string]interface {}"},
  };
  for (const auto& c : cases) CHECK(strategic("PodSpec", "", document, c.patch) == c.expected);
}

TEST_CASE("strategic merge of scalars and maps") {
  struct {
    const char* document;
    const char* patch;
    const char* expected;
  } cases[] = {
      {R"({"finalizers":["a","b"]})", R"({"finalizers":["c"]})", R"({"finalizers":["c","a","b"]})"},
      {R"({"finalizers":["c","a","b"]})", R"({"finalizers":["a"]})",
       R"({"finalizers":["c","a","b"]})"},
      {R"({"finalizers":["c","a","b"]})", R"({"$deleteFromPrimitiveList/finalizers":["b"]})",
       R"({"finalizers":["c","a"]})"},
      {R"({"finalizers":["d","c","a"]})",
       R"({"$setElementOrder/finalizers":["e","a"],"finalizers":["e"]})",
       R"({"finalizers":["e","d","c","a"]})"},
      {R"({"finalizers":["a"]})", R"({"$deleteFromPrimitiveList/finalizers":"x"})",
       R"({"finalizers":["a"]})"},
      {R"({"labels":{"a":"1","b":"2"}})", R"({"labels":{"a":null,"c":"3"}})",
       R"({"labels":{"b":"2","c":"3"}})"},
      {R"({"labels":{"a":"1"}})", R"({"labels":{"$patch":"replace","z":"3"}})",
       R"({"labels":{"z":"3"}})"},
      {R"({})", R"({"labels":{"$patch":"nope","x":null}})", R"({"labels":{}})"},
  };
  for (const auto& c : cases)
    CHECK(strategic("ObjectMeta", "meta.k8s.io", c.document, c.patch) == c.expected);
}

TEST_CASE("patches are read from text") {
  CHECK(parse_merge_patch("[]").error().message ==
        "error decoding patch: json: cannot unmarshal array into Go value of type "
        "map[string]interface {}");
  CHECK(parse_merge_patch("null").error().message == "Invalid JSON Patch");
  CHECK(parse_merge_patch("{").error().message ==
        "error decoding patch: unexpected end of JSON input");
  CHECK(parse_strategic_patch("5").error().message ==
        "json: cannot unmarshal number into Go value of type map[string]interface {}");
  CHECK(parse_strategic_patch("null").ok());
  auto patch = parse_merge_patch(R"({"data":{"k":"1","k":"2"},"l":[{"a":1,"a":2}]})");
  REQUIRE(patch.ok());
  CHECK(patch->strict_errors ==
        std::vector<std::string>{"duplicate field \"data.k\"", "duplicate field \"l[0].a\""});
  CHECK(patch->value["data"]["k"].as_string() == "2");
}
