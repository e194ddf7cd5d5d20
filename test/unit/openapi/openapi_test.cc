// OpenAPI documents: whole (every reference leads somewhere, every operation has its own name), and
// true in the details clients are generated from.

#include "api/openapi/openapi.h"

#include <catch2/catch.hpp>
#include <set>

#include "api/openapi/describe.h"
#include "api/openapi/names.h"
#include "base/json.h"

using namespace knarr;
using json::Value;

namespace {

api::OpenApiSource source() {
  api::OpenApiSource s;
  s.resources = api::builtin_resources();
  s.returns_deleted = [](const api::ResourceInfo& r) { return r.plural == "pods"; };
  return s;
}

Value document(const std::string& text) {
  Result<Value> value = json::parse(text);
  REQUIRE(value.ok());
  return *std::move(value);
}

// Every "$ref" below a value.
void collect_refs(const Value& v, std::set<std::string>& out) {
  for (json::Member m : v.members()) {
    if (m.key == "$ref" && m.value.is_string()) out.insert(m.value.text());
    collect_refs(m.value, out);
  }
  for (const Value& e : v.elements()) collect_refs(e, out);
}

// The value a reference leads to: "#/components/schemas/io.k8s...".
const Value& resolve(const Value& document, std::string_view ref) {
  const Value* at = &document;
  ref.remove_prefix(2);
  while (true) {
    size_t slash = ref.find('/');
    at = &(*at)[ref.substr(0, slash)];
    if (slash == std::string_view::npos) return *at;
    ref.remove_prefix(slash + 1);
  }
}

void collect_ids(const Value& document, std::set<std::string>& ids) {
  for (json::Member path : document["paths"].members()) {
    for (json::Member method : path.value.members()) {
      std::string id = method.value["operationId"].text();
      if (id.empty()) continue;
      INFO(id);
      CHECK(ids.insert(id).second);
    }
  }
}

const Value& schema(const Value& document, const char* name) {
  return document["components"]["schemas"][name];
}

}  // namespace

TEST_CASE("names become words") {
  struct Row {
    const char* name;
    const char* words;
  };
  const Row rows[] = {
      {"replicas", "replicas"},
      {"terminationGracePeriodSeconds", "termination grace period seconds"},
      {"clusterIP", "cluster IP"},
      {"clusterIPs", "cluster IPs"},
      {"podIP", "pod IP"},
      {"hostIPC", "host IPC"},
      {"CSIDriver", "CSI driver"},
      {"tlsServerName", "tls server name"},
  };
  for (const Row& row : rows) CHECK(api::words_of(row.name) == row.words);
}

TEST_CASE("definitions are named by their package, operations by their group") {
  CHECK(api::definition_name(*api::find_type("", "v1", "Pod")) == "io.k8s.api.core.v1.Pod");
  CHECK(api::definition_name(*api::find_type("rbac.authorization.k8s.io", "v1", "Role")) ==
        "io.k8s.api.rbac.v1.Role");
  CHECK(api::definition_name(*api::find_type("meta.k8s.io", "v1", "ObjectMeta")) ==
        "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
  CHECK(api::group_word("rbac.authorization.k8s.io") == "RbacAuthorization");
  CHECK(api::group_tag("flowcontrol.apiserver.k8s.io") == "flowcontrolApiserver");
  CHECK(api::group_word("") == "Core");
}

TEST_CASE("every version 3 document is whole") {
  api::OpenApiSource all = source();
  for (const std::string& name : api::openapi_v3_names(all)) {
    INFO(name);
    Value doc = document(api::openapi_v3(all, name));
    std::set<std::string> refs;
    collect_refs(doc, refs);
    for (const std::string& ref : refs) {
      INFO(ref);
      CHECK(resolve(doc, ref).is_object());
    }
    std::set<std::string> ids;
    collect_ids(doc, ids);
    CHECK(!ids.empty());
  }
  CHECK(api::openapi_v3(all, "apis/nope/v1").empty());
  CHECK(api::openapi_v3(all, "apis/metrics.k8s.io/v1beta1").empty());
}

TEST_CASE("the version 2 document is whole") {
  Value doc = document(api::openapi_v2(source()));
  CHECK(doc["swagger"].as_string() == "2.0");
  std::set<std::string> refs;
  collect_refs(doc, refs);
  for (const std::string& ref : refs) {
    INFO(ref);
    CHECK(resolve(doc, ref).is_object());
  }
  std::set<std::string> ids;
  collect_ids(doc, ids);
  CHECK(ids.contains("createCoreV1NamespacedPodEviction"));
  CHECK(ids.contains("connectCoreV1HeadNodeProxyWithPath"));
  CHECK(doc["definitions"]["io.k8s.api.core.v1.ConfigMap"]["properties"]["data"]["type"]
            .as_string() == "object");
}

TEST_CASE("schemas say how fields merge, what they default to and which are required") {
  Value doc = document(api::openapi_v3(source(), "apis/apps/v1"));
  const Value& pod = schema(doc, "io.k8s.api.core.v1.PodSpec");
  const Value& containers = pod["properties"]["containers"];
  CHECK(containers["x-kubernetes-list-type"].as_string() == "map");
  CHECK(containers["x-kubernetes-list-map-keys"][0].as_string() == "name");
  CHECK(containers["x-kubernetes-patch-strategy"].as_string() == "merge");
  CHECK(pod["properties"]["volumes"]["x-kubernetes-patch-strategy"].as_string() ==
        "merge,retainKeys");
  CHECK(pod["properties"]["nodeSelector"]["x-kubernetes-map-type"].as_string() == "atomic");
  CHECK(json::write(pod["required"]) == R"(["containers"])");
  const Value& port = schema(doc, "io.k8s.api.core.v1.ContainerPort")["properties"];
  CHECK(port["protocol"]["default"].as_string() == "TCP");
  CHECK(json::write(port["protocol"]["enum"]) == R"(["SCTP","TCP","UDP"])");
  CHECK(port["containerPort"]["default"].as_int(-1) == 0);
  CHECK(!port["hostPort"].has("default"));
  const Value& deployment = schema(doc, "io.k8s.api.apps.v1.Deployment");
  CHECK(json::write(deployment["x-kubernetes-group-version-kind"]) ==
        R"([{"group":"apps","kind":"Deployment","version":"v1"}])");
  CHECK(json::write(deployment["properties"]["spec"]["default"]) == "{}");
  const Value& options = schema(doc, "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions");
  CHECK(options["x-kubernetes-group-version-kind"].size() == 2);
}

TEST_CASE("what all operations of a path take is said once") {
  Value doc = document(api::openapi_v3(source(), "api/v1"));
  const Value& eviction = doc["paths"]["/api/v1/namespaces/{namespace}/pods/{name}/eviction"];
  CHECK(eviction["parameters"].size() == 6);
  CHECK(!eviction["post"].has("parameters"));
  const Value& pod = doc["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"];
  CHECK(pod["parameters"].size() == 3);
  CHECK(pod["delete"]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
            .as_string()
            .ends_with("core.v1.Pod"));
  CHECK(pod["patch"]["parameters"].size() == 4);
}

TEST_CASE("every field has a line of description") {
  for (const api::Type* type : api::all_types()) {
    CHECK(!api::describe_type(*type).empty());
    for (const api::Field& field : type->fields()) {
      std::string text = api::describe_field(*type, field);
      INFO(type->name << "." << field.name() << ": " << text);
      CHECK(text.size() > 2);
      CHECK(text.find('\n') == std::string::npos);
    }
  }
}

TEST_CASE("the protobuf form names every path and definition") {
  std::string bytes = api::openapi_v2_protobuf(source());
  CHECK(
      bytes.starts_with("\x0a\x03"
                        "2.0"));
  CHECK(bytes.find("io.k8s.api.apps.v1.Deployment") != std::string::npos);
  CHECK(bytes.find("/api/v1/namespaces/{namespace}/pods/{name}/eviction") != std::string::npos);
}
