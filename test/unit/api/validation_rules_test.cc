#include <catch2/catch.hpp>
#include <string>

#include "api/resource.h"
#include "api/schema/defaults.h"
#include "api/validation/internal.h"
#include "api/validation/metadata.h"
#include "api/validation/validation.h"
#include "api/validation/value_diff.h"

using namespace knarr::api;
namespace json = knarr::json;

namespace {

json::Value object_of(const ResourceInfo& info, const std::string& text) {
  json::Value value = json::parse(text).value();
  apply_defaults(*info.type, value);
  return value;
}

// Every error, "field: sentence", a line each.
std::string lines(const ErrorList& errors) {
  std::string out;
  for (const FieldError& e : errors.errors()) out += e.field + ": " + e.body + "\n";
  return out;
}

std::string created(const char* group, const char* version, const char* kind,
                    const std::string& text) {
  const ResourceInfo* info = find_kind(group, version, kind);
  REQUIRE(info != nullptr);
  return lines(validate_create({group, version, kind, info->namespaced}, object_of(*info, text)));
}

enum class Endpoint { kMain, kStatus };

std::string updated(const char* group, const char* version, const char* kind,
                    const std::string& now, const std::string& before,
                    Endpoint endpoint = Endpoint::kMain) {
  const ResourceInfo* info = find_kind(group, version, kind);
  REQUIRE(info != nullptr);
  ValidationTarget target{group, version, kind, info->namespaced};
  json::Value a = object_of(*info, now);
  json::Value b = object_of(*info, before);
  return lines(endpoint == Endpoint::kMain ? validate_update(target, a, b)
                                           : validate_status_update(target, a, b));
}

constexpr const char* kMeta =
    R"("metadata":{"name":"x","namespace":"n","uid":"u","resourceVersion":"1"})";
constexpr const char* kPods =
    R"("template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}})";

std::string with_spec(const std::string& spec) {
  return std::string("{") + kMeta + ",\"spec\":{" + spec + "}}";
}

std::string job_with(const std::string& spec) {
  return with_spec(
      R"("manualSelector":true,"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"i"}]}},)" +
      spec);
}

}  // namespace

TEST_CASE("validation: errors of metadata are found as often as upstream finds them") {
  std::string bad = R"({"metadata":{"name":"x","namespace":"n","uid":"u","resourceVersion":"1",)"
                    R"("labels":{"-":""},"finalizers":["one"]}})";
  std::string good = std::string("{") + kMeta + "}";
  std::string text = updated("", "v1", "ServiceAccount", bad, good);
  size_t labels = 0;
  for (size_t at = text.find("metadata.labels"); at != std::string::npos;
       at = text.find("metadata.labels", at + 1)) {
    labels++;
  }
  CHECK(labels == 4);
  CHECK(text.find("metadata.finalizers[0]: Invalid value: \"one\": name is neither a standard "
                  "finalizer name nor is it fully qualified") != std::string::npos);

  CHECK(created("", "v1", "ConfigMap",
                R"({"metadata":{"name":"x","namespace":"n","ownerReferences":[)"
                R"({"apiVersion":"v1","kind":"Event","name":"e","uid":"1"},)"
                R"({"apiVersion":"","kind":"","name":"","uid":""}]}})") ==
        "metadata.ownerReferences: Invalid value: {\"apiVersion\":\"v1\",\"kind\":\"Event\","
        "\"name\":\"e\",\"uid\":\"1\"}: /v1, Kind=Event is disallowed from being an owner\n"
        "metadata.ownerReferences.apiVersion: Invalid value: \"\": version must not be empty\n"
        "metadata.ownerReferences.kind: Invalid value: \"\": must not be empty\n"
        "metadata.ownerReferences.name: Invalid value: \"\": must not be empty\n"
        "metadata.ownerReferences.uid: Invalid value: \"\": must not be empty\n");
}

TEST_CASE("validation: field managers are printable and short") {
  struct Case {
    std::string manager;
    std::string errors;
  };
  const Case cases[] = {
      {"kubectl", ""},
      {"caf\xc3\xa9 1", ""},
      {"a\tb", "m: Invalid value: \"a\\tb\": invalid character U+0009 (at position 1)\n"},
      {std::string(129, 'a'), "m: Too long: may not be more than 128 bytes\n"},
  };
  for (const Case& c : cases) {
    ErrorList errors;
    validate_field_manager(c.manager, Path("m"), errors);
    CHECK(lines(errors) == c.errors);
  }
}

TEST_CASE("validation: workloads") {
  CHECK(created("apps", "v1", "StatefulSet",
                with_spec(std::string(kPods) + R"(,"serviceName":"A")")) ==
        "spec.serviceName: Invalid value: \"A\": a lowercase RFC 1123 label must consist of lower "
        "case alphanumeric characters or '-', and must start and end with an alphanumeric "
        "character (e.g. 'my-name',  or '123-abc', regex used for validation is "
        "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')\nspec.selector: Required value\n"
        "spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match "
        "template `labels`\n");
  CHECK(created("apps", "v1", "DaemonSet",
                with_spec(std::string(R"("selector":{"matchLabels":{"a":"b"}},)") + kPods +
                          R"(,"updateStrategy":{"type":"Other"})")) ==
        "spec.updateStrategy: Unsupported value: {\"Type\":\"Other\",\"RollingUpdate\":null}: "
        "supported values: \"RollingUpdate\", \"OnDelete\"\n");
  CHECK(created("apps", "v1", "ControllerRevision",
                R"({"metadata":{"name":"x","namespace":"n"},"revision":-1,"data":[1]})") ==
        "revision: Invalid value: -1: must be greater than or equal to 0\n"
        "data: Required value: data must be a valid JSON object\n");
  std::string status = std::string("{") + kMeta +
                       R"(,"status":{"replicas":1,"readyReplicas":2,)"
                       R"("availableReplicas":3,"collisionCount":1}})";
  std::string before = std::string("{") + kMeta + R"(,"status":{"replicas":1,"collisionCount":2}})";
  CHECK(updated("apps", "v1", "StatefulSet", status, before, Endpoint::kStatus) ==
        "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas\n"
        "status.availableReplicas: Invalid value: 3: cannot be greater than status.replicas\n"
        "status.availableReplicas: Invalid value: 3: cannot be greater than "
        "status.readyReplicas\n"
        "status.collisionCount: Invalid value: 1: cannot be decremented\n");
}

TEST_CASE("validation: jobs") {
  struct Case {
    const char* spec;
    const char* errors;
  };
  const Case cases[] = {
      {R"("backoffLimit":1)", ""},
      {R"("completionMode":"Indexed","parallelism":2)",
       "spec.completions: Required value: when completion mode is Indexed\n"},
      {R"("maxFailedIndexes":1)",
       "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified\n"
       "spec.maxFailedIndexes: Invalid value: 1: requires indexed completion mode\n"},
      {R"("podFailurePolicy":{"rules":[{"action":"FailIndex"}]})",
       "spec.podFailurePolicy.rules[0].action: Invalid value: \"FailIndex\": requires the "
       "backoffLimitPerIndex to be set\n"
       "spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and "
       "OnPodConditions is required\n"},
      {R"("podFailurePolicy":{"rules":[{"onExitCodes":{"operator":"In","values":[2,1,1]}}]})",
       "spec.podFailurePolicy.rules[0].action: Required value: valid values: [\"Count\" "
       "\"FailIndex\" \"FailJob\" \"Ignore\"]\n"
       "spec.podFailurePolicy.rules[0].onExitCodes.values[2]: Duplicate value: 1\n"
       "spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [2,1,1]: must be "
       "ordered\n"},
      {R"("completionMode":"Indexed","completions":5,"successPolicy":{"rules":[{"succeededIndexes":"0-2,2","succeededCount":6}]})",
       "spec.successPolicy.rules[0].succeededIndexes: Invalid value: \"0-2,2\": error parsing "
       "succeededIndexes: non-increasing order, previous: 2, current: 2\n"
       "spec.successPolicy.rules[0].succeededCount: Invalid value: 6: must be less than or equal "
       "to 5 (the number of specified completions)\n"
       "spec.successPolicy.rules[0].succeededCount: Invalid value: 6: must be less than or equal "
       "to 0 (the number of indexes in the specified succeededIndexes field)\n"},
  };
  for (const Case& c : cases) {
    INFO(c.spec);
    CHECK(created("batch", "v1", "Job", job_with(c.spec)) == c.errors);
  }
}

TEST_CASE("validation: the status of jobs") {
  auto with_status = [](const std::string& status) {
    std::string job = job_with(R"("completions":3)");
    job.pop_back();
    return job + ",\"status\":{" + status + "}}";
  };
  CHECK(updated("batch", "v1", "Job",
                with_status(R"("conditions":[{"type":"Complete","status":"True"}],"active":1)"),
                with_status(""), Endpoint::kStatus) ==
        "status.completionTime: Required value: completionTime is required for Complete jobs\n"
        "status.conditions: Invalid value: cannot set Complete=True condition without the "
        "SuccessCriteriaMet=true condition\n"
        "status.active: Invalid value: 1: active>0 is invalid for finished job\n"
        "status.startTime: Required value: startTime is required for finished job\n");
  CHECK(updated("batch", "v1", "Job", with_status(R"("failed":1)"), with_status(R"("failed":2)"),
                Endpoint::kStatus) ==
        "status.failed: Invalid value: 1: cannot decrease the failed counter\n");
}

TEST_CASE("validation: volumes and claims") {
  CHECK(created("", "v1", "PersistentVolume",
                R"({"metadata":{"name":"x"},"spec":{"capacity":{"storage":"0"},)"
                R"("accessModes":["ReadWriteOncePod","ReadOnlyMany"],"local":{"path":"/a"},)"
                R"("gcePersistentDisk":{"pdName":"","partition":300}}})") ==
        "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes\n"
        "spec.capacity[storage]: Invalid value: \"0\": must be greater than zero\n"
        "spec.persistentDisk.pdName: Required value\n"
        "spec.persistentDisk.partition: Invalid value: 300: must be between 1 and 255, inclusive\n"
        "spec.local: Forbidden: may not specify more than 1 volume type\n");
  std::string claim =
      R"("accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}})";
  std::string other =
      R"("accessModes":["ReadWriteMany"],"resources":{"requests":{"storage":"1Gi"}})";
  std::string text = updated("", "v1", "PersistentVolumeClaim", with_spec(other), with_spec(claim));
  CHECK(text.find("spec: Forbidden: spec is immutable after creation except resources.requests and "
                  "volumeAttributesClassName for bound claims\n@@ -1,6 +1,6 @@\n {\n") == 0);
  CHECK(text.find("\n-  \"ReadWriteOnce\"\n+  \"ReadWriteMany\"\n") != std::string::npos);
}

TEST_CASE("validation: values as internal types print") {
  struct Case {
    const char* type;
    const char* value;
    const char* shown;
  };
  const Case cases[] = {
      {"Taint", R"({"key":"a","effect":"NoSchedule"})",
       R"({"Key":"a","Value":"","Effect":"NoSchedule","TimeAdded":null})"},
      {"ServicePort", R"({"port":80,"protocol":"TCP"})",
       R"({"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,"NodePort":0})"},
      {"HTTPGetAction", R"({"path":"/","port":"web"})",
       R"({"Path":"/","Port":"web","Host":"","Scheme":"","HTTPHeaders":null})"},
  };
  for (const Case& c : cases) {
    INFO(c.type);
    CHECK(json::write(internal_value("", "v1", c.type, json::parse(c.value).value())) == c.shown);
  }
  json::Value spec = internal_value(
      "", "v1", "PodSpec", json::parse(R"({"hostNetwork":true,"serviceAccount":"a"})").value());
  CHECK(spec["SecurityContext"]["HostNetwork"].as_bool());
  CHECK_FALSE(spec.has("ServiceAccount"));
  CHECK_FALSE(spec.has("HostNetwork"));
}

TEST_CASE("validation: differences of values") {
  struct Case {
    const char* before;
    const char* after;
    const char* diff;
  };
  const Case cases[] = {
      {"{}", "{}", ""},
      {R"({"a":1})", R"({"a":2})", "@@ -1,3 +1,3 @@\n {\n- \"a\": 1\n+ \"a\": 2\n }\n"},
      {R"({"a":[],"b":{}})", R"({"a":[1],"b":{}})",
       "@@ -1,4 +1,6 @@\n {\n- \"a\": [],\n+ \"a\": [\n+  1\n+ ],\n  \"b\": {}\n }\n"},
      {R"([1,2,3,4,5,6,7,8,9,10,11,12])", R"([0,2,3,4,5,6,7,8,9,10,11,0])",
       "@@ -1,5 +1,5 @@\n [\n- 1,\n+ 0,\n  2,\n  3,\n  4,\n@@ -10,5 +10,5 @@\n  9,\n  10,\n  "
       "11,\n- 12\n+ 0\n ]\n"},
      {R"("<")", R"(">")", "@@ -1 +1 @@\n-\"\\u003c\"\n+\"\\u003e\"\n"},
  };
  for (const Case& c : cases) {
    INFO(c.before);
    CHECK(value_diff(json::parse(c.before).value(), json::parse(c.after).value()) == c.diff);
  }
}

TEST_CASE("validation: events are looked at as the group asks that they come through") {
  std::string event =
      R"({"metadata":{"name":"x","namespace":"n"},"involvedObject":{"namespace":"n"},)"
      R"("count":1,"type":"Odd"})";
  json::Value value = json::parse(event).value();
  CHECK(lines(validate_create({"", "v1", "Event", true}, value)).empty());
  CHECK(lines(validate_create({"events.k8s.io", "v1", "Event", true}, value)) ==
        "eventTime: Required value\n"
        "type: Invalid value: \"\": has invalid value: Odd\n"
        "count: Invalid value: \"\": needs to be unset\n");
}

TEST_CASE("claims of devices") {
  struct Row {
    const char* spec;
    const char* expected;
  };
  const Row rows[] = {
      {R"("devices":{"requests":[{"name":"gpu","exactly":{"deviceClassName":"c"}}]})", ""},
      {R"("devices":{"requests":[{"name":"gpu"}]})",
       "spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is "
       "required\n"},
      {R"("devices":{"requests":[{"name":"gpu","exactly":{"deviceClassName":"",)"
       R"("allocationMode":"All","count":2}}]})",
       "spec.devices.requests[0].exactly.deviceClassName: Required value\n"
       "spec.devices.requests[0].exactly.count: Invalid value: 2: must not be specified when "
       "allocationMode is 'All'\n"},
      {R"("devices":{"requests":[{"name":"a","exactly":{"deviceClassName":"c"}},)"
       R"({"name":"a","exactly":{"deviceClassName":"c"}}],)"
       R"("constraints":[{"requests":["b"],"matchAttribute":"x.io/a"}],"config":[{}]})",
       "spec.devices.requests[1]: Duplicate value: \"a\"\n"
       "spec.devices.constraints[0].requests[0]: Invalid value: \"b\": must be the name of a "
       "request in the claim or the name of a request and a subrequest separated by '/'\n"
       "spec.devices.config[0].opaque: Required value\n"},
  };
  for (const Row& row : rows) {
    INFO(row.spec);
    CHECK(created("resource.k8s.io", "v1", "ResourceClaim", with_spec(row.spec)) == row.expected);
  }
  std::string changed = updated("resource.k8s.io", "v1", "ResourceClaim", with_spec(rows[1].spec),
                                with_spec(rows[0].spec));
  CHECK(changed.starts_with("spec: Invalid value: {\"Devices\":"));
  CHECK(changed.ends_with(": field is immutable\n"));
}

TEST_CASE("certificates that are issued") {
  const std::string head = std::string("{") + kMeta + ",\"spec\":{\"signerName\":\"x.io/y\"},";
  auto status = [&](const char* certificate) {
    return head + "\"status\":{\"certificate\":\"" + certificate + "\"}}";
  };
  auto written = [&](const char* now, const char* before) {
    return updated("certificates.k8s.io", "v1", "CertificateSigningRequest", status(now),
                   status(before), Endpoint::kStatus);
  };
  constexpr const char* kProblem =
      "status.certificate: Invalid value: \"<certificate data>\": must contain at least one "
      "CERTIFICATE PEM block\n";
  CHECK(written("bm90IHBlbQ==", "").find(kProblem) != std::string::npos);
  CHECK(written("bm90IHBlbQ==", "bm90IHBlbQ==").find(kProblem) == std::string::npos);
}
