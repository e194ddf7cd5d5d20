// Kubernetes' protobuf: what a Go client writes is read back, what is damaged is refused.

#include "api/protobuf/protobuf.h"

#include <catch2/catch.hpp>

#include "api/codec/encode.h"

using namespace knarr;
using json::Value;

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
    Result<Value> back = api::decode_protobuf(api::encode_protobuf(*type, *object), {});
    REQUIRE(back.ok());
    CHECK(api::encode_json(*type, *back) == api::encode_json(*type, *object));
  }
}

TEST_CASE("scalars that are not optional are written even when they are zero") {
  const api::Type* type = api::find_type("", "v1", "ConfigMap");
  Result<Value> object = json::parse(R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{}})");
  std::string bytes = api::encode_protobuf(*type, *object);
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
    for (int i = 0; i < count; i++) {
      Value item = Value::object({{"metadata", Value::object({{"name", std::to_string(i)}})}});
      item.set("data", Value::object({{"k", std::string(1000, 'x')}}));
      list.add(item);
      whole.member("items").push_back(std::move(item));
    }
    std::string joined;
    for (const std::string& part : list.finish("v1", "ConfigMapList", meta)) joined += part;
    CHECK(joined == api::encode_protobuf(*type, whole));
  }
}

TEST_CASE("damaged documents are refused") {
  const api::Type* type = api::find_type("", "v1", "ConfigMap");
  Result<Value> object = json::parse(
      R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"data":{"k":"v"}})");
  std::string bytes = api::encode_protobuf(*type, *object);
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
  std::string bytes = api::encode_protobuf(*type, *object);
  Result<Value> filled = api::decode_protobuf(bytes, {"", "v1", "ConfigMap"});
  REQUIRE(filled.ok());
  CHECK((*filled)["kind"].as_string() == "ConfigMap");
  CHECK((*filled)["data"]["k"].as_string() == "v");
  object->set("kind", "ConfigMax");
  object->set("apiVersion", "v1");
  Result<Value> unknown =
      api::decode_protobuf(api::encode_protobuf(*type, *object), {"", "v1", "ConfigMap"});
  REQUIRE(unknown.ok());
  CHECK(json::write(*unknown) == R"({"kind":"ConfigMax","apiVersion":"v1"})");
}

TEST_CASE("an event of a stream is a length and a WatchEvent") {
  CHECK(api::encode_protobuf_event("ADDED", "k8s") == std::string("\0\0\0\x0e\x0a\x05"
                                                                  "ADDED"
                                                                  "\x12\x05\x0a\x03k8s",
                                                                  18));
}
