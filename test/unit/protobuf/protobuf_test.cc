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
    Result<Value> back = api::decode_protobuf(api::encode_protobuf(*type, *object));
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

TEST_CASE("damaged documents are refused") {
  const api::Type* type = api::find_type("", "v1", "ConfigMap");
  Result<Value> object = json::parse(
      R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"data":{"k":"v"}})");
  std::string bytes = api::encode_protobuf(*type, *object);
  CHECK(!api::decode_protobuf("").ok());
  CHECK(!api::decode_protobuf("k8s").ok());
  for (size_t n = 5; n + 4 < bytes.size(); n++) {
    static_cast<void>(api::decode_protobuf(std::string_view(bytes).substr(0, n)));
  }
  std::string unknown = bytes;
  unknown.replace(unknown.find("ConfigMap"), 9, "ConfigMax");
  CHECK(!api::decode_protobuf(unknown).ok());
}
