#include <string>

#include "api/codec/decode.h"
#include "api/codec/encode.h"
#include "catch2/catch.hpp"

using namespace knarr;
using namespace knarr::api;

namespace {

std::string message(std::string_view body, Media media = Media::kJson,
                    FieldValidation validation = FieldValidation::kStrict) {
  DecodeOptions options;
  options.version = "v1";
  options.kind = "ConfigMap";
  options.media = media;
  options.validation = validation;
  auto decoded = decode_body(options, body);
  if (!decoded.ok()) return decoded.error().message;
  return encode_json(*find_type("", "v1", "ConfigMap"), decoded->value);
}

const std::string kUnrecognized =
    "the object provided is unrecognized (must be of type ConfigMap): ";
const std::string kParse = kUnrecognized + "couldn't get version/kind; json parse error: ";

}  // namespace

TEST_CASE("a body is checked against what the endpoint expects") {
  struct {
    const char* body;
    std::string expected;
  } cases[] = {
      {"", kParse + "unexpected end of JSON input (<empty>)"},
      {"{", kParse + "unexpected end of JSON input ({)"},
      {"[]", kParse + "json: cannot unmarshal array into Go value of type struct { APIVersion "
                      "string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string "
                      "\"json:\\\"kind,omitempty\\\"\" } (5b5d)"},
      {"kind: ConfigMap",
       kParse +
           "invalid character 'k' looking for beginning of value (6b696e643a20436f6e6669674d6170)"},
      {R"({"apiVersion":5,"kind":"ConfigMap"})",
       kParse + "json: cannot unmarshal number into Go struct field .apiVersion of type string "
                "({\"apiVersion\":5,\"kind\":\"Config ...)"},
      {R"({"apiVersion":"a/b/c","kind":"ConfigMap"})",
       kUnrecognized +
           "unexpected GroupVersion string: a/b/c ({\"apiVersion\":\"a/b/c\",\"kind\":\" ...)"},
      {R"({"apiVersion":"v1","kind":"Nope"})",
       "Nope in version \"v1\" cannot be handled as a ConfigMap: no kind \"Nope\" is registered "
       "for version \"v1\" in scheme \"pkg/api/legacyscheme/scheme.go:30\""},
      {R"({"apiVersion":"apps/v1","kind":"ConfigMap"})",
       "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: no kind \"ConfigMap\" is "
       "registered for version \"apps/v1\" in scheme \"pkg/api/legacyscheme/scheme.go:30\""},
      {R"({"apiVersion":"v1","kind":"Secret"})",
       "Secret in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Secret) to "
       "(core.ConfigMap): unknown conversion"},
      {R"({"apiVersion":"v1","kind":"Status"})",
       "Status in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Status) to "
       "(core.ConfigMap): unknown conversion"},
      {R"({"metadata":{"wrong":1},"bogus":1})",
       "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: "
       "unknown field \"metadata.wrong\", unknown field \"bogus\""},
      {"null", R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{}})"},
      {"{}", R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{}})"},
  };
  for (const auto& c : cases) CHECK(message(c.body) == c.expected);
}

TEST_CASE("versions that are not the endpoint's are named") {
  DecodeOptions options{"apps", "v1", "Deployment"};
  auto refused = [&](std::string_view body) { return decode_body(options, body).error().message; };
  CHECK(refused(R"({"apiVersion":"extensions/v1beta1","kind":"Deployment"})") ==
        "the API version in the data (extensions/v1beta1) does not match the expected API version "
        "(apps/v1)");
  CHECK(refused(R"({"apiVersion":"apps/v1","kind":"ReplicaSet"})") ==
        "ReplicaSet in version \"v1\" cannot be handled as a Deployment: converting "
        "(v1.ReplicaSet) to (apps.Deployment): unknown conversion");
  options = {"autoscaling", "v2", "HorizontalPodAutoscaler"};
  CHECK(refused(R"({"apiVersion":"autoscaling/v1","kind":"HorizontalPodAutoscaler"})") ==
        "the API version in the data (autoscaling/v1) does not match the expected API version "
        "(autoscaling/v2)");
}

TEST_CASE("YAML bodies") {
  CHECK(message("metadata: {name: b}\ndata: {x: '1'}", Media::kYaml) ==
        R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"b"},"data":{"x":"1"}})");
  CHECK(message("data: {x: yes}", Media::kYaml) ==
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: json: cannot unmarshal bool "
        "into Go struct field ConfigMap.data of type string");
  CHECK(
      message("metadata: {name: h}\ndata:\n  a: '1'\n  a: '2'\n", Media::kYaml) ==
      "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: yaml: "
      "unmarshal errors:\n  line 4: key \"a\" already set in map");
  CHECK(message("metadata:\n  name: c\n bad: indent", Media::kYaml) ==
        kUnrecognized +
            "yaml: line 2: did not find expected key "
            "(6d657461646174613a0a20206e616d653a20630a206261643a20696e6465 ...)");
  CHECK(message("\tmetadata: {name: k}", Media::kYaml) ==
        kUnrecognized +
            "yaml: found character that cannot start any token "
            "(096d657461646174613a207b6e616d653a206b7d)");
  CHECK(message("# just a comment\n", Media::kYaml) ==
        R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{}})");
}

TEST_CASE("warnings come back only when asked for") {
  DecodeOptions options{"", "v1", "ConfigMap", nullptr, Media::kYaml, FieldValidation::kWarn};
  auto decoded = decode_body(options, "bogus: 1\ndata:\n  a: '1'\n  a: '2'\n");
  REQUIRE(decoded.ok());
  CHECK(decoded->strict_errors == std::vector<std::string>{"line 4: key \"a\" already set in map",
                                                           "unknown field \"bogus\""});
  options.validation = FieldValidation::kIgnore;
  CHECK(decode_body(options, "bogus: 1")->strict_errors.empty());
}
