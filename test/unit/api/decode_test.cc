#include "api/codec/decode.h"

#include <string>

#include "api/codec/encode.h"
#include "api/codec/scalars.h"
#include "catch2/catch.hpp"

using namespace knarr;
using namespace knarr::api;

namespace {

const Type& type_of(const char* group, const char* name) {
  const Type* type = find_type(group, "v1", name);
  REQUIRE(type != nullptr);
  return *type;
}

std::string error_of(const Type& type, std::string_view text) {
  auto decoded = decode_json(type, text);
  return decoded.ok() ? "ok" : decoded.error().message;
}

std::string canonical(const Type& type, std::string_view text) {
  auto decoded = decode_json(type, text);
  return decoded.ok() ? encode_json(type, decoded->value) : decoded.error().message;
}

}  // namespace

TEST_CASE("syntax errors are Go's") {
  const Type& map = type_of("", "ConfigMap");
  struct {
    const char* text;
    const char* error;
  } cases[] = {
      {"", "unexpected end of JSON input"},
      {"{", "unexpected end of JSON input"},
      {"kind: ConfigMap", "invalid character 'k' looking for beginning of value"},
      {"{\"a\":1,}", "invalid character '}' looking for beginning of object key string"},
      {"{'a':1}", "invalid character '\\'' looking for beginning of object key string"},
      {"{} trailing", "invalid character 't' after top-level value"},
      {"{}{", "invalid character '{' after top-level value"},
      {"{\"a\":tru }", "invalid character ' ' in literal true (expecting 'e')"},
      {"{\"a\":tru", "invalid character ' ' in literal true (expecting 'e')"},
      {"[1.", "invalid character ' ' after decimal point in numeric literal"},
      {"[\"a\\", "invalid character ' ' in string escape code"},
      {"[\"a", "unexpected end of JSON input"},
      {"{\"a\":01}", "invalid character '1' after object key:value pair"},
      {"[1 2]", "invalid character '2' after array element"},
      {"{\"a\" 1}", "invalid character '1' after object key"},
      {"\"\\x\"", "invalid character 'x' in string escape code"},
      {"\"\n\"", "invalid character '\\n' in string literal"},
      {"\"\\u00g0\"", "invalid character 'g' in \\u hexadecimal character escape"},
      {"-a", "invalid character 'a' in numeric literal"},
      {"1.a", "invalid character 'a' after decimal point in numeric literal"},
      {"1ea", "invalid character 'a' in exponent of numeric literal"},
      {"\xc3\xa9", "invalid character 'Ã' looking for beginning of value"},
  };
  for (const auto& c : cases) CHECK(error_of(map, c.text) == c.error);
  CHECK(error_of(map, std::string(10001, '[')) == "exceeded max depth");
  CHECK(error_of(map, "{\"x\":" + std::string(9000, '[') + std::string(9000, ']') + "}") == "ok");
}

TEST_CASE("type errors are Go's") {
  const Type& map = type_of("", "ConfigMap");
  const Type& pod = type_of("", "Pod");
  struct {
    const Type& type;
    const char* text;
    const char* error;
  } cases[] = {
      {map, R"({"metadata":{"name":5}})",
       "number into Go struct field ObjectMeta.metadata.name of type string"},
      {map, R"({"metadata":{"labels":"x"}})",
       "string into Go struct field ObjectMeta.metadata.labels of type map[string]string"},
      {map, R"({"metadata":"x"})",
       "string into Go struct field ConfigMap.metadata of type v1.ObjectMeta"},
      {map, R"({"data":["x"]})",
       "array into Go struct field ConfigMap.data of type map[string]string"},
      {map, R"({"data":{"x":{"y":1}}})",
       "object into Go struct field ConfigMap.data of type string"},
      {map, R"({"metadata":{"generation":1.5}})",
       "number 1.5 into Go struct field ObjectMeta.metadata.generation of type int64"},
      {map, R"({"metadata":{"finalizers":"x"}})",
       "string into Go struct field ObjectMeta.metadata.finalizers of type []string"},
      {map, R"({"metadata":{"uid":1}})",
       "number into Go struct field ObjectMeta.metadata.uid of type types.UID"},
      {pod, R"({"spec":{"containers":[5]}})",
       "number into Go struct field PodSpec.spec.containers of type v1.Container"},
      {pod, R"({"spec":{"containers":{}}})",
       "object into Go struct field PodSpec.spec.containers of type []v1.Container"},
      {pod, R"({"spec":{"containers":[{"ports":[{"containerPort":"80"}]}]}})",
       "string into Go struct field ContainerPort.spec.containers.ports.containerPort of type "
       "int32"},
      {pod, R"({"spec":{"containers":[{"livenessProbe":{"httpGet":{"port":5.5}}}]}})",
       "number 5.5 into Go struct field "
       "HTTPGetAction.spec.containers.livenessProbe.ProbeHandler.httpGet.port of type int32"},
      {pod, R"({"spec":{"terminationGracePeriodSeconds":1e3}})",
       "number 1e3 into Go struct field PodSpec.spec.terminationGracePeriodSeconds of type int64"},
      {pod, R"({"spec":{"restartPolicy":1}})",
       "number into Go struct field PodSpec.spec.restartPolicy of type v1.RestartPolicy"},
      {pod, R"({"spec":{"containers":[{"ports":[{"containerPort":3000000000}]}]}})",
       "number 3000000000 into Go struct field ContainerPort.spec.containers.ports.containerPort "
       "of type int32"},
      // The first error stands, whatever follows.
      {map, R"({"data":5,"metadata":{"name":5}})",
       "number into Go struct field ConfigMap.data of type map[string]string"},
  };
  for (const auto& c : cases) {
    CHECK(error_of(c.type, c.text) == std::string("json: cannot unmarshal ") + c.error);
  }
  CHECK(error_of(map, R"({"binaryData":{"x":"***"}})") == "illegal base64 data at input byte 0");
  CHECK(
      error_of(map, R"({"metadata":{"creationTimestamp":"yesterday"}})") ==
      "parsing time \"yesterday\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"yesterday\" as "
      "\"2006\"");
  CHECK(error_of(pod, R"({"spec":{"containers":[{"resources":{"limits":{"cpu":"much"}}}]}})") ==
        "quantities must match the regular expression "
        "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
  // A type that parses its own text ends the walk, and its error wins.
  CHECK(
      error_of(
          pod,
          R"({"spec":{"hostNetwork":1,"containers":[{"livenessProbe":{"httpGet":{"port":{}}}}]}})") ==
      "json: cannot unmarshal object into Go struct field "
      "HTTPGetAction.spec.containers.livenessProbe.ProbeHandler.httpGet.port of type int32");
}

TEST_CASE("unknown and duplicate fields are noted in order, with paths") {
  auto decoded = decode_json(type_of("", "ConfigMap"), R"({"metadata":{"name":"d","name":"e",
      "labels":{"a":"1","a":"2"}},"data":{"k":"1","k":"2"},"data":{"z":"1"}})");
  REQUIRE(decoded.ok());
  CHECK(strict_error_text(decoded->strict_errors) ==
        "strict decoding error: duplicate field \"metadata.name\", duplicate field "
        "\"metadata.labels.a\", duplicate field \"data.k\", duplicate field \"data\"");
  CHECK(encode_json(type_of("", "ConfigMap"), decoded->value) ==
        R"({"metadata":{"name":"e","labels":{"a":"2"}},"data":{"k":"2","z":"1"}})");

  decoded = decode_json(type_of("", "Pod"), R"({"bogus":{"a":1,"a":2},"spec":{"containers":[
      {"name":"a"},{"imagee":1,"ports":[{"port":1}],"imagee":2}],"Containers":1}})");
  REQUIRE(decoded.ok());
  CHECK(decoded->strict_errors ==
        std::vector<std::string>{"unknown field \"bogus\"",
                                 "unknown field \"spec.containers[1].imagee\"",
                                 "unknown field \"spec.containers[1].ports[0].port\"",
                                 "unknown field \"spec.Containers\""});
}

TEST_CASE("canonical form follows Go's rules for what is written") {
  struct {
    const char* group;
    const char* kind;
    const char* text;
    const char* canonical;
  } cases[] = {
      {"", "Pod",
       R"({"status":{},"spec":{"hostNetwork":false,"activeDeadlineSeconds":0,"containers":null},"metadata":{"creationTimestamp":null,"name":"p"},"apiVersion":"v1","kind":"Pod"})",
       R"({"kind":"Pod","apiVersion":"v1","metadata":{"name":"p"},"spec":{"containers":null,"activeDeadlineSeconds":0},"status":{}})"},
      {"", "Container",
       R"({"name":"c","args":[],"ports":[{"containerPort":1}],"resources":{"limits":{"cpu":"0.5","memory":1024}}})",
       R"({"name":"c","ports":[{"containerPort":1}],"resources":{"limits":{"cpu":"500m","memory":"1024"}}})"},
      {"rbac.authorization.k8s.io", "Role", R"({"rules":[]})", R"({"metadata":{},"rules":null})"},
      {"", "ResourceFieldSelector", R"({"resource":"limits.cpu"})",
       R"({"resource":"limits.cpu","divisor":"0"})"},
      {"", "Event", R"({"reason":"x"})",
       R"({"metadata":{},"involvedObject":{},"reason":"x","source":{},"firstTimestamp":null,"lastTimestamp":null,"eventTime":null,"reportingComponent":"","reportingInstance":""})"},
      {"", "ServicePort", R"({"port":80,"targetPort":"web"})", R"({"port":80,"targetPort":"web"})"},
      {"", "ServicePort", R"({"port":80})", R"({"port":80,"targetPort":0})"},
      {"coordination.k8s.io", "LeaseSpec", R"({"renewTime":"2026-01-02T03:04:05.678901+01:00"})",
       R"({"renewTime":"2026-01-02T02:04:05.678901Z"})"},
      {"", "NodeSpec",
       R"({"taints":[{"key":"a","effect":"NoSchedule","timeAdded":"2026-01-02T03:04:05.9Z"}]})",
       R"({"taints":[{"key":"a","effect":"NoSchedule","timeAdded":"2026-01-02T03:04:05Z"}]})"},
      {"", "EnvVar", R"({"name":"a\u00e9\ud83d\ude00\ud800","value":"<&>\n"})",
       "{\"name\":\"aé😀\xef\xbf\xbd\",\"value\":\"<&>\\n\"}"},
      {"apiextensions.k8s.io", "JSONSchemaProps",
       R"({"type":"object","maximum":1e3,"minimum":0.5,"default":{"b":[1,2.5,null]},"additionalProperties":{"type":"string"},"items":[{"type":"a"}],"x-kubernetes-int-or-string":true})",
       R"({"type":"object","default":{"b":[1,2.5,null]},"maximum":1000,"minimum":0.5,"items":[{"type":"a"}],"additionalProperties":{"type":"string"},"x-kubernetes-int-or-string":true})"},
      {"apps", "ControllerRevision", R"({"revision":1})",
       R"({"metadata":{},"data":null,"revision":1})"},
  };
  for (const auto& c : cases) {
    const Type& type = type_of(c.group, c.kind);
    CHECK(canonical(type, c.text) == c.canonical);
    CHECK(canonical(type, c.canonical) == c.canonical);
  }
}

TEST_CASE("fields of gates that are off are dropped silently") {
  auto decoded =
      decode_json(type_of("", "VolumeProjection"), R"({"podCertificate":{"keyType":"x"}})");
  REQUIRE(decoded.ok());
  CHECK(decoded->value.empty());
  CHECK(decoded->strict_errors.empty());
}

TEST_CASE("results of strategic merge are converted, with the converter's words") {
  struct {
    const char* text;
    const char* error;
  } cases[] = {
      {R"({"data":{"x":5}})", "cannot convert int64 to string"},
      {R"({"data":{"x":{}}})", "cannot convert map[string]interface {} to string"},
      {R"({"data":"x"})", "cannot restore map from string"},
      {R"({"metadata":[]})", "cannot restore struct from: slice"},
      {R"({"metadata":{"finalizers":{}}})", "cannot restore slice from map"},
      {R"({"immutable":1.5})", "cannot convert float64 to bool"},
  };
  for (const auto& c : cases) {
    auto value = json::parse(c.text);
    REQUIRE(value.ok());
    auto decoded = decode_value(type_of("", "ConfigMap"), *value, ErrorWords::kConverter);
    REQUIRE_FALSE(decoded.ok());
    CHECK(decoded.error().message == c.error);
  }
}

TEST_CASE("durations and numbers") {
  CHECK(*canonical_duration("90s") == "1m30s");
  CHECK(*canonical_duration("1.5h") == "1h30m0s");
  CHECK(*canonical_duration("-100ms") == "-100ms");
  CHECK(*canonical_duration("0") == "0s");
  CHECK(canonical_duration("5").error().message == "time: missing unit in duration \"5\"");
  CHECK(canonical_duration("x").error().message == "time: invalid duration \"x\"");
  CHECK(canonical_duration("5y").error().message == "time: unknown unit \"y\" in duration \"5y\"");
  for (auto [value, text] :
       {std::pair(1.0, "1"), {0.1, "0.1"}, {1e21, "1e+21"}, {1e-7, "1e-7"}, {-2.5, "-2.5"}}) {
    std::string out;
    append_double(out, value);
    CHECK(out == text);
  }
}
