// Kubernetes' protobuf: what a Go client writes is read back, what is damaged is refused.

#include "api/protobuf/protobuf.h"

#include <catch2/catch.hpp>

#include "api/codec/encode.h"

using namespace knarr;
using json::Value;

namespace {

std::string document(const api::Type& type, const Value& object) {
  std::optional<std::string> bytes = api::encode_protobuf(type, json::write(object));
  REQUIRE(bytes);
  return *bytes;
}

std::string message_of(const char* group, const char* kind, std::string_view json) {
  std::optional<std::string> bytes = api::encode_protobuf(*api::find_type(group, "v1", kind), json);
  REQUIRE(bytes);
  return *bytes;
}

std::string joined(std::initializer_list<std::string_view> parts) {
  std::string out;
  for (std::string_view part : parts) out += part;
  return out;
}

}  // namespace

TEST_CASE("objects survive the way there and back") {
  struct Row {
    const char* group;
    const char* version;
    const char* kind;
    const char* object;
  };
  const Row rows[] = {
      {"", "v1", "ConfigMap",
       R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","creationTimestamp":
           "2026-01-02T03:04:05Z","labels":{"x":"y"}},"data":{"k":"v"},"binaryData":{"b":"AAEC"}})"},
      {"", "v1", "Pod",
       R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"p"},"spec":{"containers":[{"name":"c",
           "image":"i","livenessProbe":{"httpGet":{"path":"/","port":"web"},"periodSeconds":5},
           "resources":{"limits":{"cpu":"500m"}}}],"hostNetwork":true,
           "terminationGracePeriodSeconds":0},"status":{}})"},
      {"apps", "v1", "Deployment",
       R"({"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"d"},"spec":{"replicas":0,
           "selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},
           "spec":{"containers":[{"name":"c","image":"i","resources":{}}]}},
           "strategy":{"rollingUpdate":{"maxSurge":"25%","maxUnavailable":1}}},"status":{}})"},
      {"coordination.k8s.io", "v1", "Lease",
       R"({"kind":"Lease","apiVersion":"coordination.k8s.io/v1","metadata":{"name":"l"},
           "spec":{"renewTime":"2026-01-02T03:04:05.678901Z"}})"},
  };
  for (const Row& row : rows) {
    INFO(row.kind);
    const api::Type* type = api::find_type(row.group, row.version, row.kind);
    REQUIRE(type != nullptr);
    Result<Value> object = json::parse(row.object);
    REQUIRE(object.ok());
    Result<Value> back = api::decode_protobuf(document(*type, *object), {});
    REQUIRE(back.ok());
    CHECK(api::encode_json(*type, *back) == api::encode_json(*type, *object));
  }
}

TEST_CASE("scalars that are not optional are written even when they are zero") {
  const api::Type* type = api::find_type("", "v1", "ConfigMap");
  Result<Value> object = json::parse(R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{}})");
  std::string bytes = document(*type, *object);
  CHECK(bytes.substr(0, 4) == std::string("k8s\0", 4));
  // The metadata: name, generateName, namespace, selfLink, uid, resourceVersion, generation, time.
  std::string meta("\x0a\0\x12\0\x1a\0\x22\0\x2a\0\x32\0\x38\0\x42\0", 16);
  CHECK(bytes.find(meta) != std::string::npos);
}

TEST_CASE("a list that is encoded item by item is the same list") {
  const api::Type* type = api::find_type("", "v1", "ConfigMapList");
  REQUIRE(type != nullptr);
  for (int count : {0, 1, 300}) {
    Value meta = Value::object({{"resourceVersion", "7"}, {"continue", "more"}});
    Value whole = Value::object({{"apiVersion", "v1"}, {"kind", "ConfigMapList"}});
    whole.set("metadata", meta);
    api::ProtobufList list(*type);
    api::WireBuffer items;
    for (int i = 0; i < count; i++) {
      Value item = Value::object({{"metadata", Value::object({{"name", std::to_string(i)}})}});
      item.set("data", Value::object({{"k", std::string(1000, 'x')}}));
      list.add(items, json::write(item));
      whole.member("items").push_back(std::move(item));
    }
    std::string joined = list.head("v1", "ConfigMapList", json::write(meta), items.size());
    joined += items.view();
    joined += api::ProtobufList::tail();
    CHECK(joined == document(*type, whole));
  }
}

TEST_CASE("members come out by number, in whatever order they stand") {
  // Of a Pod's spec: 1 volumes, 2 containers, 20 initContainers.
  std::string_view pod = R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"p"},"spec":{)";
  std::string_view rest = R"("restartPolicy":"Always"},"status":{"phase":"Running"}})";
  std::string_view volumes = R"("volumes":[{"name":"v","emptyDir":{}},{"name":"w"}],)";
  std::string_view first = R"("initContainers":[{"name":"i","resizePolicy":[],"env":[]}],)";
  std::string_view second =
      R"("containers":[{"image":"x","name":"c","ports":[{"containerPort":1}]}],)";
  std::string canonical = message_of("", "Pod", joined({pod, volumes, second, first, rest}));
  CHECK(message_of("", "Pod", joined({pod, first, volumes, second, rest})) == canonical);
  CHECK(message_of("", "Pod", joined({pod, second, first, volumes, rest})) == canonical);
  // Members of an embedded struct (the handler of a probe), apart from one another.
  std::string_view before =
      R"({"kind":"PodTemplate","apiVersion":"v1","template":{"spec":{"containers":[{"livenessProbe":{)";
  std::string_view exec = R"("exec":{"command":["a"]})";
  std::string_view get = R"("httpGet":{"path":"/","port":"web"})";
  std::string_view period = R"("periodSeconds":5)";
  std::string_view after = "}}]}}}";
  std::string twice =
      message_of("", "PodTemplate", joined({before, exec, ",", period, ",", get, after}));
  Result<Value> back = api::decode_protobuf(twice, {});
  REQUIRE(back.ok());
  const Value& probe = (*back)["template"]["spec"]["containers"][0]["livenessProbe"];
  CHECK(probe["exec"]["command"][0].as_string() == "a");
  CHECK(probe["httpGet"]["port"].as_string() == "web");
}

TEST_CASE("what stands beside an unknown member is found, however long that is") {
  // Quotes, backslashes and brackets in strings, wherever they fall in blocks of 64 bytes.
  const char* inner[] = {R"({"a":"}\\"})", R"(["\"]","\\\"{[",{"k:{\"name\":\"c\"}":{".":{}}}])",
                         R"([[[[]]],{},"",{"":"\u005c"}])",
                         R"({"\\":"\\\\","x":[1,2.5e3,true,null]})"};
  for (const char* value : inner) {
    for (size_t pad = 0; pad < 130; pad++) {
      std::string text = R"({"kind":"ConfigMap","apiVersion":"v1","unknown":[")" +
                         std::string(pad, pad % 2 == 0 ? '{' : 'x') + "\"," + value +
                         R"(],"data":{"k":"v"}})";
      Result<Value> back = api::decode_protobuf(message_of("", "ConfigMap", text), {});
      REQUIRE(back.ok());
      if ((*back)["data"]["k"].as_string() != "v") FAIL(text);
    }
  }
}

TEST_CASE("what is of another kind than its type says is absent") {
  auto map = [](std::string_view members) {
    return message_of("", "ConfigMap",
                      R"({"kind":"ConfigMap","apiVersion":"v1")" + std::string(members) + "}");
  };
  std::string bare = map("");
  for (const char* members :
       {R"(,"metadata":null)", R"(,"metadata":[{"name":"x"}])", R"(,"data":"x")", R"(,"data":null)",
        R"(,"immutable":"yes")", R"(,"immutable":null)", R"(,"unknown":{"a":["b",{}],"c":"\"}"})",
        R"(,"binaryData":[1,2.5,-3e7,true,null])", R"( , "data" : { } )"}) {
    INFO(members);
    CHECK(map(members) == bare);
  }
  CHECK(map(R"(,"data":{"a":null})") == map(R"(,"data":{"a":""})"));
  CHECK(map(R"(,"data":{"a":"\u00e9\ud83d\ude00\n\"\/"})") == map(","
                                                                  R"("data":{"a":"\u00E9)"
                                                                  "\xf0\x9f\x98\x80"
                                                                  R"(\u000a\u0022/"})"));
}

TEST_CASE("text that is no object is refused") {
  const api::Type& type = *api::find_type("", "v1", "ConfigMap");
  for (const char* text :
       {"", "x", "[]", "{", R"({"kind)", R"({"kind":)", R"({"kind":"a)", R"({"data":{"a":"b"})",
        R"({"data":{"a":"b)", R"({"data":{"a":"\)", R"({"data":{"a":"\u12"}})",
        R"({"data":{"a":"\x"}})", R"({"data":})", R"({"other":[})", R"({"other":]})",
        R"({"other":"\)", R"({"data":{"a":"b",}})"}) {
    INFO(text);
    CHECK(!api::encode_protobuf(type, text));
  }
  const api::Type& schema = *api::find_type("apiextensions.k8s.io", "v1", "JSONSchemaProps");
  std::string deep;
  for (int i = 0; i < 2000; i++) deep += R"({"not":)";
  CHECK(!api::encode_protobuf(schema, deep + "{}" + std::string(2000, '}')));
}

TEST_CASE("damaged documents are refused") {
  const api::Type* type = api::find_type("", "v1", "ConfigMap");
  Result<Value> object = json::parse(
      R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"data":{"k":"v"}})");
  std::string bytes = document(*type, *object);
  api::ProtobufKind expected{"", "v1", "ConfigMap"};
  auto refusal = [&](std::string_view damaged) {
    Result<Value> value = api::decode_protobuf(damaged, expected);
    return value.ok() ? std::string("accepted") : value.error().message;
  };
  CHECK(refusal("") == "empty data");
  CHECK(refusal(std::string_view("k8s\0", 4)) == "empty body");
  CHECK(refusal("k8s").starts_with("provided data does not appear to be a protobuf message"));
  CHECK(refusal(std::string_view("k8s\0\xff\xff\xff", 7)) == "unexpected EOF");
  // status.startTime of a Pod: a field's number past 29 bits, then a second past the year 9999.
  expected = {"", "v1", "Pod"};
  CHECK(
      refusal(std::string_view("k8s\0\x12\x10\x1a\x0e:\x0c\x12\x00\xd0\xef\xef\xef\xc5\xf3\xf1\x00"
                               "\x10\x00",
                               22)) == "unexpected EOF");
  CHECK(refusal(std::string_view("k8s\0\x12\x0b\x1a\x09:\x07\x08\xff\xff\xff\xff\xff\x7f", 17)) ==
        "unexpected EOF");
  expected = {"", "v1", "ConfigMap"};
  for (size_t n = 5; n + 4 < bytes.size(); n++) {
    static_cast<void>(api::decode_protobuf(std::string_view(bytes).substr(0, n), expected));
  }
}

TEST_CASE("a document is of the kind it says, else of the one that is expected") {
  const api::Type* type = api::find_type("", "v1", "ConfigMap");
  Result<Value> object = json::parse(R"({"metadata":{"name":"a"},"data":{"k":"v"}})");
  std::string bytes = document(*type, *object);
  Result<Value> filled = api::decode_protobuf(bytes, {"", "v1", "ConfigMap"});
  REQUIRE(filled.ok());
  CHECK((*filled)["kind"].as_string() == "ConfigMap");
  CHECK((*filled)["data"]["k"].as_string() == "v");
  object->set("kind", "ConfigMax");
  object->set("apiVersion", "v1");
  Result<Value> unknown = api::decode_protobuf(document(*type, *object), {"", "v1", "ConfigMap"});
  REQUIRE(unknown.ok());
  CHECK(json::write(*unknown) == R"({"kind":"ConfigMax","apiVersion":"v1"})");
}

TEST_CASE("an event of a stream is a length and a WatchEvent") {
  CHECK(api::encode_protobuf_event("ADDED", "k8s") == std::string("\0\0\0\x0e\x0a\x05"
                                                                  "ADDED"
                                                                  "\x12\x05\x0a\x03k8s",
                                                                  18));
}
