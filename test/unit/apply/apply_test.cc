// Field ownership and server-side apply, against what a Kubernetes API server answers.

#include <catch2/catch.hpp>

#include "api/apply/fields_of.h"
#include "api/apply/last_applied.h"
#include "api/apply/managed_fields.h"
#include "api/apply/scale_fields.h"
#include "api/apply/typed_check.h"

using namespace knarr;
using json::Value;

namespace {

Value parse(std::string_view text) {
  Result<Value> v = json::parse(text);
  REQUIRE(v.ok());
  return *v;
}

const api::Type& type_of(const char* group, const char* version, const char* kind) {
  const api::Type* type = api::find_type(group, version, kind);
  REQUIRE(type != nullptr);
  return *type;
}

api::Writer writer(const char* manager, const char* time) {
  api::Writer w;
  w.manager = manager;
  w.api_version = "v1";
  w.time = time;
  return w;
}

// The fields of manager after the update, "" when it has no entry.
std::string fields(const Value& object, std::string_view manager) {
  for (const Value& e : object["metadata"]["managedFields"].elements()) {
    if (e["manager"].as_string() == manager) return json::write(e["fieldsV1"]);
  }
  return "";
}

}  // namespace

TEST_CASE("what a create owns") {
  struct Row {
    const char* group;
    const char* version;
    const char* kind;
    const char* object;
    const char* expected;
  };
  const Row rows[] = {
      {"", "v1", "ConfigMap", R"({"metadata":{"name":"a","labels":{"x":"1"}},"data":{"k":"v"}})",
       R"({"f:data":{".":{},"f:k":{}},"f:metadata":{"f:labels":{".":{},"f:x":{}}}})"},
      {"", "v1", "Pod",
       R"({"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i",
           "ports":[{"containerPort":80,"protocol":"TCP"}],"resources":{}}]}})",
       R"({"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:image":{},"f:name":{},)"
       R"("f:ports":{".":{},"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},)"
       R"("f:containerPort":{},"f:protocol":{}}},"f:resources":{}}}}})"},
      {"", "v1", "Node", R"({"metadata":{"name":"n"},"spec":{"podCIDRs":["10.0.0.0/24"]}})",
       R"({"f:spec":{"f:podCIDRs":{".":{},"v:\"10.0.0.0/24\"":{}}}})"},
      // A pointer that Go writes as null was there before, though empty.
      {"authentication.k8s.io", "v1", "TokenRequest",
       R"({"spec":{"boundObjectRef":{"kind":"Pod","name":"a"}}})",
       R"({"f:spec":{"f:boundObjectRef":{"f:kind":{},"f:name":{}}}})"},
      // An omitempty zero is as good as absent.
      {"", "v1", "ReplicationController",
       R"({"metadata":{"name":"r"},"spec":{"minReadySeconds":0,"replicas":0}})",
       R"({"f:spec":{"f:replicas":{}}})"},
  };
  for (const Row& row : rows) {
    Value object = parse(row.object);
    api::update_managed_fields(type_of(row.group, row.version, row.kind), Value::object(), object,
                               writer("m", "2026-01-01T00:00:00Z"));
    INFO(row.kind);
    CHECK(fields(object, "m") == row.expected);
  }
}

TEST_CASE("a change takes fields from those who owned them") {
  const api::Type& type = type_of("", "v1", "ConfigMap");
  Value object = parse(R"({"metadata":{"name":"a","uid":"u"},"data":{"x":"1","y":"1"}})");
  api::update_managed_fields(type, Value::object(), object, writer("one", "t1"));
  Value now = object;
  now.member("data").set("x", "2");
  now.member("data").erase("y");
  api::update_managed_fields(type, object, now, writer("two", "t2"));
  CHECK(fields(now, "one") == R"({"f:data":{}})");
  CHECK(fields(now, "two") == R"({"f:data":{"f:x":{}}})");

  SECTION("a write that changes nothing keeps the times") {
    Value again = now;
    api::update_managed_fields(type, now, again, writer("two", "t3"));
    api::keep_times_of_noop(now, again);
    CHECK(again == now);
  }
}

TEST_CASE("apply: conflict, force, and what is no longer named goes") {
  const api::Type& type = type_of("", "v1", "ConfigMap");
  Value live = parse(R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","uid":"u",
      "labels":{"m":"1","keep":"1"}},"data":{"x":"1"}})");
  api::update_managed_fields(type, Value::object(), live, writer("golden", "t1"));
  Value config = parse(R"({"kind":"ConfigMap","apiVersion":"v1",
      "metadata":{"name":"a","labels":{"m":"2"}}})");
  api::ApplyOptions options{writer("applier", "t2"), false};

  Result<Value> refused = api::apply_config(type, live, config, options);
  REQUIRE(!refused.ok());
  CHECK(refused.error().code == Code::kConflict);
  CHECK(refused.error().message ==
        "Apply failed with 1 conflict: conflict with \"golden\" using v1: .metadata.labels.m");
  REQUIRE(refused.error().details->causes.size() == 1);
  CHECK(refused.error().details->causes[0].field == ".metadata.labels.m");

  options.force = true;
  Result<Value> forced = api::apply_config(type, live, config, options);
  REQUIRE(forced.ok());
  CHECK((*forced)["metadata"]["labels"]["m"].as_string() == "2");
  CHECK(fields(*forced, "applier") == R"({"f:metadata":{"f:labels":{"f:m":{}}}})");

  Value nothing = parse(R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"}})");
  Result<Value> pruned = api::apply_config(type, *forced, nothing, options);
  REQUIRE(pruned.ok());
  CHECK(!(*pruned)["metadata"]["labels"].has("m"));
  CHECK((*pruned)["metadata"]["labels"]["keep"].as_string() == "1");
  CHECK((*pruned)["metadata"]["uid"].as_string() == "u");
  CHECK(fields(*pruned, "applier").empty());
}

TEST_CASE("apply merges lists by key and keeps others' elements") {
  const api::Type& type = type_of("", "v1", "Pod");
  Value live = parse(R"({"metadata":{"name":"p","uid":"u"},"spec":{"containers":[
      {"name":"a","image":"1"},{"name":"b","image":"1"}]}})");
  api::update_managed_fields(type, Value::object(), live, writer("golden", "t1"));
  Value config = parse(R"({"metadata":{"name":"p"},"spec":{"containers":[
      {"name":"c","image":"1"},{"name":"b","tty":true}]}})");
  Result<Value> merged =
      api::apply_config(type, live, config, api::ApplyOptions{writer("applier", "t2"), false});
  REQUIRE(merged.ok());
  const Value& containers = (*merged)["spec"]["containers"];
  REQUIRE(containers.size() == 3);
  CHECK(containers[0]["name"].as_string() == "a");
  CHECK(containers[1]["name"].as_string() == "c");
  CHECK(containers[2]["name"].as_string() == "b");
  CHECK(containers[2]["image"].as_string() == "1");
  CHECK(containers[2]["tty"].as_bool());
}

TEST_CASE("the manager in a User-Agent") {
  CHECK(api::manager_of_user_agent("kubectl/v1.33 (linux/amd64)") == "kubectl");
  CHECK(api::manager_of_user_agent("golden") == "golden");
  CHECK(api::manager_of_user_agent("") == "");
  CHECK(api::manager_of_user_agent(std::string(200, 'x')).size() == 128);
}

TEST_CASE("configurations that do not have the shape of their type") {
  struct Row {
    const char* kind;
    const char* config;
    const char* problem;
  };
  const Row rows[] = {
      {"ConfigMap", R"({"data":{"a":"b"}})", ""},
      {"ConfigMap", R"({"data":null})", ""},
      {"ConfigMap", R"({"datum":{}})", ".datum: field not declared in schema"},
      {"ConfigMap", R"({"data":{"a":1}})",
       ".data.a: expected string, got &value.valueUnstructured{Value:1}"},
      {"Pod", R"({"spec":{"containers":[{"image":"i"}]}})", ""},
      {"Pod", R"({"spec":{"containers":["c"]}})",
       ".spec.containers: element 0: associative list with keys may not have non-map elements"},
      {"Pod", R"({"spec":{"containers":[{"name":"c"},{"name":"c"}]}})",
       R"(.spec.containers: duplicate entries for key [name="c"])"},
      {"Pod", R"({"spec":{"containers":[{"name":"c","ports":[{"protocol":"TCP"}]}]}})", ""},
      {"Pod", R"({"spec":{"hostNetwork":"yes"}})",
       ".spec.hostNetwork: expected boolean, got &{yes}"},
  };
  for (const Row& row : rows) {
    INFO(row.config);
    CHECK(api::typed_problem(type_of("", "v1", row.kind), parse(row.config)) == row.problem);
  }
}

TEST_CASE("who owns the replicas owns them in the Scale, and back") {
  Value object = parse(R"([
      {"manager":"a","operation":"Apply","apiVersion":"apps/v1","time":"t","fieldsType":"FieldsV1",
       "fieldsV1":{"f:spec":{"f:replicas":{},"f:paused":{}}}},
      {"manager":"b","operation":"Update","apiVersion":"apps/v1","time":"t","fieldsType":"FieldsV1",
       "fieldsV1":{"f:spec":{"f:paused":{}}}}])");
  Value scale = api::scale_entries(object, "apps/v1");
  REQUIRE(scale.size() == 1);
  CHECK(scale[0]["manager"].as_string() == "a");
  CHECK(scale[0]["apiVersion"].as_string() == "autoscaling/v1");
  CHECK(json::write(scale[0]["fieldsV1"]) == R"({"f:spec":{"f:replicas":{}}})");

  CHECK(api::parent_entries(object, scale, "apps/v1") == object);

  Value taken = parse(R"([{"manager":"c","operation":"Update","apiVersion":"autoscaling/v1",
      "subresource":"scale","time":"t2","fieldsV1":{"f:spec":{"f:replicas":{}}}}])");
  Value entries = api::parent_entries(object, taken, "apps/v1");
  REQUIRE(entries.size() == 3);
  CHECK(json::write(entries[0]["fieldsV1"]) == R"({"f:spec":{"f:paused":{}}})");
  CHECK(entries[2]["manager"].as_string() == "c");
  CHECK(entries[2]["apiVersion"].as_string() == "apps/v1");
  CHECK(json::write(entries[2]["fieldsV1"]) == R"({"f:spec":{"f:replicas":{}}})");
}

TEST_CASE("what kubectl applied before, and its note of it") {
  const api::Type& type = type_of("", "v1", "ConfigMap");
  Value live = parse(R"({"metadata":{"annotations":{
      "kubectl.kubernetes.io/last-applied-configuration":
      "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"data\":{\"a\":\"1\",\"b\":\"1\",\"c\":\"1\"}}"}},
      "data":{"a":"1","b":"2"}})");
  CHECK(json::write(api::allowed_by_last_applied(type, live, "v1").to_json()).find("f:a") !=
        std::string::npos);
  CHECK(json::write(api::allowed_by_last_applied(type, live, "v1").to_json()).find("f:b") ==
        std::string::npos);
  CHECK(api::allowed_by_last_applied(type, live, "v2").empty());

  api::renew_last_applied(live,
                          parse(R"({"kind":"ConfigMap","data":{"z":"<"},"apiVersion":"v1"})"));
  CHECK(
      live["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"].text() ==
      "{\"apiVersion\":\"v1\",\"data\":{\"z\":\"\\u003c\"},\"kind\":\"ConfigMap\"}"
      "\n");
  Value without = parse(R"({"metadata":{}})");
  api::renew_last_applied(without, parse(R"({"kind":"ConfigMap"})"));
  CHECK(without["metadata"]["annotations"].is_null());
}
