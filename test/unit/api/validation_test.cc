#include "api/validation/validation.h"

#include <catch2/catch.hpp>

#include "api/resource.h"
#include "api/schema/defaults.h"

using namespace knarr::api;
namespace json = knarr::json;

namespace {

// The message of the Status, "" when the object is good. Defaults are filled in first.
std::string create(std::string_view group, std::string_view version, std::string_view kind,
                   std::string_view object) {
  const ResourceInfo* info = find_kind(group, version, kind);
  REQUIRE(info != nullptr);
  json::Value value = json::parse(object).value();
  apply_defaults(*info->type, value);
  ValidationTarget target{group, version, kind, info->namespaced};
  ErrorList errors = validate_create(target, value);
  std::string name = value["metadata"]["name"].text();
  return errors.empty() ? "" : invalid_error(group, kind, name, errors).message;
}

const char* kSubdomain =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', "
    "and must start and end with an alphanumeric character (e.g. 'example.com', regex used for "
    "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

}  // namespace

TEST_CASE("validation: how errors read") {
  ErrorList errors;
  Path spec("spec");
  errors.required(spec / "a");
  CHECK(invalid_error("apps", "Deployment", "x", errors).message ==
        "Deployment.apps \"x\" is invalid: spec.a: Required value");
  errors.invalid((spec / "b")[2].key("k"), "q\"\n", "is bad");
  errors.not_supported(spec / "c", 5, {"A", "B"});
  errors.forbidden(spec / "d", "no");
  errors.duplicate(spec / "e", json::Value::object({{"A", 1}}));
  errors.too_long(spec / "f", 63);
  errors.required(spec / "a");
  knarr::Error error = invalid_error("", "Pod", "x", errors);
  CHECK(error.message ==
        "Pod \"x\" is invalid: [spec.a: Required value, spec.b[2][k]: Invalid value: \"q\\\"\\n\": "
        "is "
        "bad, spec.c: Unsupported value: 5: supported values: \"A\", \"B\", spec.d: Forbidden: no, "
        "spec.e: Duplicate value: {\"A\":1}, spec.f: Too long: may not be more than 63 bytes]");
  CHECK(error.code == knarr::Code::kInvalid);
  REQUIRE(error.details->causes.size() == 7);
  CHECK(error.details->causes[1].reason == "FieldValueInvalid");
  CHECK(error.details->causes[1].field == "spec.b[2][k]");
}

TEST_CASE("validation: create") {
  struct Case {
    const char* group;
    const char* version;
    const char* kind;
    const char* object;
    std::string message;
  };
  const Case cases[] = {
      {"", "v1", "ConfigMap", R"({"metadata":{"name":"a","namespace":"n"},"data":{"k":"v"}})", ""},
      {"", "v1", "ConfigMap", R"({"metadata":{"name":"A!","namespace":"n"}})",
       std::string("ConfigMap \"A!\" is invalid: metadata.name: Invalid value: \"A!\": ") +
           kSubdomain},
      {"", "v1", "ConfigMap", R"({"metadata":{"namespace":"n"}})",
       "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is "
       "required"},
      {"", "v1", "Pod",
       R"({"metadata":{"name":"p","namespace":"n"},"spec":{"containers":[{"name":"c","image":"i"}]}})",
       ""},
      {"", "v1", "Pod", R"({"metadata":{"name":"p","namespace":"n"},"spec":{}})",
       "Pod \"p\" is invalid: spec.containers: Required value"},
      {"", "v1", "Pod",
       R"({"metadata":{"name":"p","namespace":"n"},"spec":{"restartPolicy":"Sometimes","containers":[{"name":"c","image":"i"}]}})",
       "Pod \"p\" is invalid: spec.restartPolicy: Unsupported value: \"Sometimes\": supported "
       "values: "
       "\"Always\", \"OnFailure\", \"Never\""},
      {"", "v1", "Secret",
       R"({"metadata":{"name":"s","namespace":"n"},"type":"kubernetes.io/tls"})",
       "Secret \"s\" is invalid: [data[tls.crt]: Required value, data[tls.key]: Required value]"},
      {"apps", "v1", "Deployment",
       R"({"metadata":{"name":"d","namespace":"n"},"spec":{"selector":{"matchLabels":{"a":"y"}},"template":{"metadata":{"labels":{"a":"x"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}})",
       "Deployment.apps \"d\" is invalid: spec.template.metadata.labels: Invalid value: "
       "{\"a\":\"x\"}: "
       "`selector` does not match template `labels`"},
      {"", "v1", "Service",
       R"({"metadata":{"name":"s","namespace":"n"},"spec":{"type":"Weird","ports":[{"port":80}]}})",
       "Service \"s\" is invalid: spec.type: Unsupported value: \"Weird\": supported values: "
       "\"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\""},
      {"", "v1", "Endpoints",
       R"({"metadata":{"name":"e","namespace":"n"},"subsets":[{"addresses":[{"ip":"010.1.1.1"}]}]})",
       "Endpoints \"e\" is invalid: [subsets[0].addresses[0].ip: Invalid value: \"010.1.1.1\": "
       "must not "
       "have leading 0s, subsets[0].addresses[0].ip: Invalid value: \"010.1.1.1\": must be a valid "
       "IP "
       "address]"},
  };
  for (const Case& c : cases) {
    INFO(c.kind << " " << c.object);
    CHECK(create(c.group, c.version, c.kind, c.object) == c.message);
  }
}

TEST_CASE("validation: update") {
  ValidationTarget target{"", "v1", "ConfigMap", true};
  auto old =
      json::parse(
          R"({"metadata":{"name":"a","namespace":"n","uid":"1","resourceVersion":"5"},"immutable":true,"data":{"k":"1"}})")
          .value();
  CHECK(validate_update(target, old, old).empty());
  json::Value changed = old;
  changed.member("data").set("k", "2");
  changed.member("metadata").set("uid", "2");
  CHECK(
      invalid_error("", "ConfigMap", "a", validate_update(target, changed, old)).message ==
      "ConfigMap \"a\" is invalid: [metadata.uid: Invalid value: \"2\": field is immutable, data: "
      "Forbidden: field is immutable when `immutable` is set]");

  ValidationTarget pods{"", "v1", "Pod", true};
  auto pod =
      json::parse(
          R"({"metadata":{"name":"p","namespace":"n","resourceVersion":"1"},"spec":{"containers":[{"name":"c","image":"i"}]}})")
          .value();
  apply_defaults(*find_kind("", "v1", "Pod")->type, pod);
  json::Value other = pod;
  other.member("spec").member("containers").at(0).set("image", "j");
  CHECK(validate_update(pods, other, pod).empty());
  other.member("spec").set("nodeName", "n1");
  CHECK(validate_update(pods, other, pod).size() == 1);
}
