#include "server/controllers/local_storage.h"

#include <catch2/catch.hpp>

using namespace knarr;
using namespace knarr::server;
using json::Value;

namespace {

Value parse(const std::string& text) {
  auto value = json::parse(text);
  REQUIRE(value.ok());
  return *std::move(value);
}

Value claim(const std::string& spec) {
  return parse(R"({"metadata":{"name":"data-0","namespace":"shop","uid":"1-2",
      "resourceVersion":"5"},"kind":"PersistentVolumeClaim","apiVersion":"v1","spec":)" +
               spec + "}");
}

constexpr const char* kSpec = R"({"accessModes":["ReadWriteOnce"],"storageClassName":"local-path",
    "resources":{"requests":{"storage":"1Gi"}}})";
constexpr const char* kNode = R"({"metadata":{"name":"n1",
    "labels":{"kubernetes.io/hostname":"host1"},
    "annotations":{"knarr.io/local-storage-path":"/data/storage"}}})";

}  // namespace

TEST_CASE("what a directory cannot be") {
  auto check = [](const std::string& spec, const char* storage_class, const std::string& want) {
    INFO(spec << storage_class);
    CHECK(local_storage_objection(claim(spec), parse(storage_class)) == want);
  };
  const std::string modes =
      "NodePath only supports ReadWriteOnce and ReadWriteOncePod (1.22+) access modes";
  check(R"({"accessModes":["ReadWriteOnce"]})", "{}", "");
  check(R"({"accessModes":["ReadWriteOncePod"]})", "{}", "");
  check(R"({"accessModes":["ReadWriteMany"]})", "{}", modes);
  check(R"({"accessModes":["ReadWriteOnce","ReadOnlyMany"]})", "{}", modes);
  check(R"({"accessModes":["ReadWriteOnce"],"selector":{}})", "{}",
        "claim.Spec.Selector is not supported");
  check(R"({"accessModes":["ReadWriteOnce"],"dataSource":{"kind":"X","name":"y"}})", "{}",
        "volumes that begin with the content of another are not supported");
  check(R"({"accessModes":["ReadWriteOnce"]})", R"({"parameters":{"nodePath":"/x"}})",
        "parameter \"nodePath\" is not supported");
  check(R"({"accessModes":["ReadWriteOnce"]})",
        R"({"metadata":{"annotations":{"defaultVolumeType":"nfs"}}})",
        "\"nfs\" is not a recognised volume type");
}

TEST_CASE("the volume that is made for a claim") {
  Value made =
      local_volume(claim(kSpec), parse(R"({"provisioner":"rancher.io/local-path"})"), parse(kNode));
  CHECK(made["metadata"]["name"].as_string() == "pvc-1-2");
  CHECK(made["metadata"]["labels"]["knarr.io/local-storage-node"].as_string() == "n1");
  CHECK(made["metadata"]["annotations"]["pv.kubernetes.io/provisioned-by"].as_string() ==
        "rancher.io/local-path");
  CHECK(made["metadata"]["finalizers"][0].as_string() == "knarr.io/local-storage");
  const Value& spec = made["spec"];
  CHECK(spec["hostPath"]["path"].as_string() == "/data/storage/pvc-1-2_shop_data-0");
  CHECK(spec["hostPath"]["type"].as_string() == "DirectoryOrCreate");
  CHECK(spec["capacity"]["storage"].as_string() == "1Gi");
  CHECK(spec["persistentVolumeReclaimPolicy"].as_string() == "Delete");
  CHECK(spec["storageClassName"].as_string() == "local-path");
  CHECK(spec["claimRef"]["uid"].as_string() == "1-2");
  CHECK(json::write(spec["nodeAffinity"]["required"]["nodeSelectorTerms"]) ==
        R"([{"matchExpressions":[{"key":"kubernetes.io/hostname","operator":"In",)"
        R"("values":["host1"]}]}])");

  Value local = local_volume(claim(kSpec), parse(R"({"provisioner":"knarr.io/local-path",
      "reclaimPolicy":"Retain","metadata":{"annotations":{"defaultVolumeType":"local"}}})"),
                             parse(kNode));
  CHECK(local["spec"]["local"]["path"].as_string() == "/data/storage/pvc-1-2_shop_data-0");
  CHECK_FALSE(local["spec"].has("hostPath"));
  CHECK(local["spec"]["persistentVolumeReclaimPolicy"].as_string() == "Retain");
}

TEST_CASE("names that are too long for a directory are left out") {
  Value long_named = claim(kSpec);
  long_named.member("metadata").set("name", std::string(250, 'n'));
  Value made =
      local_volume(long_named, parse(R"({"provisioner":"knarr.io/local-path"})"), parse(kNode));
  CHECK(made["spec"]["hostPath"]["path"].as_string() == "/data/storage/pvc-1-2");
}
