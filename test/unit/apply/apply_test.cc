// Field ownership and server-side apply, against what a Kubernetes API server answers.

#include <catch2/catch.hpp>

#include "api/apply/fields_of.h"
#include "api/apply/managed_fields.h"

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
