#include "api/schema/schema.h"

#include <set>
#include <string>

#include "api/resource.h"
#include "catch2/catch.hpp"

using namespace knarr::api;

TEST_CASE("the catalogue has every type, and fields are found by name") {
  CHECK(all_types().size() > 600);
  const Type* pod = find_type("", "v1", "Pod");
  REQUIRE(pod != nullptr);
  CHECK(std::string(pod->go_name) == "v1.Pod");
  CHECK(pod->fields()[0].name() == "kind");
  CHECK(pod->fields()[1].name() == "apiVersion");
  CHECK(pod->field("spec")->type == find_type("", "v1", "PodSpec"));
  CHECK(pod->field("Spec") == nullptr);
  CHECK(find_type("", "v1", "Nope") == nullptr);
  for (const Type* type : all_types()) {
    std::set<std::string_view> names;
    std::set<int> numbers;
    for (const Field& field : type->fields()) {
      CHECK(names.insert(field.name()).second);
      CHECK(type->field(field.name()) == &field);
      if (field.via == nullptr && field.number != 0) CHECK(numbers.insert(field.number).second);
    }
  }
}

TEST_CASE("fields carry what merges and protobuf need") {
  const Type* spec = find_type("", "v1", "PodSpec");
  const Field* containers = spec->field("containers");
  CHECK(containers->number == 2);
  CHECK(containers->is(Field::kPatchMerge));
  CHECK(std::string(containers->facts->merge_key) == "name");
  CHECK(containers->type->merge == Merge::kMap);
  CHECK(std::string(containers->type->merge_keys()[0]) == "name");
  CHECK(std::string(containers->type->go_name) == "[]v1.Container");
  CHECK(spec->field("volumes")->is(Field::kRetainKeys));

  const Field* http = find_type("", "v1", "Probe")->field("httpGet");
  REQUIRE(http->via != nullptr);
  CHECK(std::string(http->via->go_name) == "ProbeHandler");
  CHECK(http->via->number == 1);

  const Type* port = find_type("", "v1", "ContainerPort");
  CHECK(port->field("protocol")->enum_has("UDP"));
  CHECK_FALSE(port->field("protocol")->enum_has("ICMP"));
  CHECK(find_type("", "v1", "ServiceSpec")->field("ports")->type->key_count == 2);
  CHECK(find_type("", "v1", "SecretReference")->merge == Merge::kAtomic);
}

TEST_CASE("paths lead through lists") {
  std::string_view path[] = {"spec", "template", "spec", "containers", "image"};
  const Field* image = find_field(*find_type("apps", "v1", "Deployment"), path);
  REQUIRE(image != nullptr);
  CHECK(image->number == 2);
}

TEST_CASE("resources are found in every way a client names them") {
  const ResourceInfo* deployments = find_resource("apps", "v1", "deployments");
  REQUIRE(deployments != nullptr);
  CHECK(deployments->api_version() == "apps/v1");
  CHECK(deployments->key_prefix == "/registry/deployments");
  CHECK(deployments->storage_hash == "8aSe+NMegvE=");
  CHECK(deployments->list_kind == "DeploymentList");
  CHECK(deployments->can(kVerbWatch));
  CHECK(deployments->subresource("scale")->group == "autoscaling");
  CHECK(deployments->subresource("scale")->type == find_type("autoscaling", "v1", "Scale"));
  CHECK(deployments->subresource("nope") == nullptr);
  CHECK(find_kind("apps", "v1", "Deployment") == deployments);
  CHECK(find_short_name("deploy") == deployments);
  CHECK(find_short_name("po")->plural == "pods");
  CHECK(find_resource_group("autoscaling", "horizontalpodautoscalers")->version == "v2");
  CHECK(builtin_resources()[0].plural == "bindings");
  CHECK_FALSE(find_resource("", "v1", "bindings")->stored);
  for (const ResourceInfo& r : builtin_resources()) CHECK(r.type != nullptr);
  for (size_t i = 1; i < builtin_resources().size(); i++) {
    CHECK(builtin_resources()[i - 1].group_order <= builtin_resources()[i].group_order);
  }
}
