// What is let pass and warned of.
#include "api/validation/warnings.h"

#include <catch2/catch.hpp>

#include "api/validation/app_armor.h"

using namespace knarr;
using json::Value;

namespace {

Value parse(const std::string& text) {
  Result<Value> v = json::parse(text);
  INFO(text);
  REQUIRE(v.ok());
  return *v;
}

std::string lines(const std::vector<std::string>& warnings) {
  std::string out;
  for (const std::string& w : warnings) out += w + "\n";
  return out;
}

std::string warned(const char* group, const char* version, const char* kind,
                   const std::string& object, const std::string& old = "null") {
  api::ValidationTarget target{group, version, kind, true};
  return lines(api::warnings_of(target, parse(object), parse(old)));
}

std::string of_pod(const std::string& spec) {
  return warned("", "v1", "Pod", R"({"metadata":{"name":"p"},"spec":{)" + spec + "}}");
}

std::string of_service(const std::string& spec) {
  return warned("", "v1", "Service", R"({"metadata":{"name":"s"},"spec":{)" + spec + "}}");
}

}  // namespace

TEST_CASE("warnings: pods") {
  struct Case {
    const char* spec;
    const char* warnings;
  };
  const Case cases[] = {
      {R"("containers":[{"name":"c"}])", ""},
      {R"("nodeSelector":{"beta.kubernetes.io/os":"linux"})",
       "spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "
       "\"kubernetes.io/os\" instead\n"},
      {R"("imagePullSecrets":[{"name":"a"},{"name":"a"},{"name":""}])",
       "spec.imagePullSecrets[1].name: duplicate name \"a\"\n"
       "spec.imagePullSecrets[2].name: invalid empty name \"\"\n"},
      {R"("containers":[{"name":"c","env":[{"name":"A","value":"1"},{"name":"A","value":"2"},)"
       R"({"name":"A","value":"$(A)x"}]}])",
       "spec.containers[0].env[1]: hides previous definition of \"A\", which may be dropped when "
       "using apply\n"},
      {R"("containers":[{"name":"c","ports":[{"containerPort":80,"protocol":"TCP","name":"w"},)"
       R"({"containerPort":80,"protocol":"TCP","name":"w"}]}])",
       "spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]\n"
       "spec.containers[0].ports[1]: duplicate port name \"w\" with spec.containers[0].ports[0], "
       "services and probes that select ports by name will use spec.containers[0].ports[0]\n"},
      {R"("containers":[{"name":"c","resources":{"limits":{"memory":"1500m"}}}])",
       "spec.containers[0].resources.limits[memory]: fractional byte value \"1500m\" is invalid, "
       "must be an integer\n"},
      {R"("volumes":[{"name":"v","projected":{"sources":[{},)"
       R"({"secret":{"name":"s","items":[{"key":"k","path":"a"}]}},)"
       R"({"configMap":{"name":"m","items":[{"key":"k","path":"a/b"}]}}]}}])",
       "volume \"v\" (Projected) has no sources provided\n"
       "volume \"v\" (Projected): overlapping paths: \"a/b\" (ConfigMap \"m\") with \"a\" (Secret "
       "\"s\")\n"},
      {R"("topologySpreadConstraints":[{"topologyKey":"z"}])",
       "spec.topologySpreadConstraints[0].labelSelector: a null labelSelector results in matching "
       "no pod\n"},
  };
  for (const Case& c : cases) {
    INFO(c.spec);
    CHECK(of_pod(c.spec) == c.warnings);
  }
  CHECK(warned("", "v1", "Pod", R"({"metadata":{"name":"a.b"},"spec":{}})") ==
        "metadata.name: this is used in the Pod's hostname, which can result in surprising "
        "behavior; a DNS label is recommended: [must not contain dots]\n");
  CHECK(warned("", "v1", "Pod", R"({"metadata":{"name":"a.b"}})", R"({"metadata":{}})").empty());
}

TEST_CASE("warnings: templates only when they may have changed") {
  std::string one = R"({"metadata":{"name":"d","generation":1},"spec":{"template":{"spec":{)"
                    R"("hostAliases":[{"ip":"1.2.3.4"},{"ip":"1.2.3.4"}]}}}})";
  std::string two = one;
  two.replace(two.find(":1}"), 3, ":2}");
  const char* duplicate = "spec.template.spec.hostAliases[1].ip: duplicate ip \"1.2.3.4\"\n";
  CHECK(warned("apps", "v1", "Deployment", one) == duplicate);
  CHECK(warned("apps", "v1", "Deployment", one, one).empty());
  CHECK(warned("apps", "v1", "Deployment", two, one) == duplicate);
}

TEST_CASE("warnings: services") {
  CHECK(
      of_service(R"("type":"ClusterIP","clusterIP":"10.0.0.1","clusterIPs":["10.0.0.1"])").empty());
  CHECK(of_service(R"("type":"ClusterIP","clusterIP":"None","sessionAffinity":"ClientIP",)"
                   R"("loadBalancerIP":"1.2.3.4")") ==
        "spec.loadBalancerIP is ignored for headless services\n"
        "spec.SessionAffinity is ignored for headless services\n");
  CHECK(of_service(R"("type":"ClusterIP","clusterIP":"fd00:0::1","clusterIPs":["fd00:0::1"],)"
                   R"("externalIPs":["::ffff:1.2.3.4"],"externalName":"x")") ==
        "spec.clusterIPs[0]: IPv6 address \"fd00:0::1\" should be in RFC 5952 canonical format "
        "(\"fd00::1\")\n"
        "spec.externalIPs[0]: non-standard IP address \"::ffff:1.2.3.4\" is invalid: use "
        "\"1.2.3.4\"\n"
        "spec.externalIPs is deprecated and may no longer be implemented in some clusters\n"
        "spec.externalName is ignored when spec.type is not \"ExternalName\"\n");
  CHECK(of_service(R"("type":"LoadBalancer","loadBalancerSourceRanges":["10.0.0.1/8"])") ==
        "spec.loadBalancerSourceRanges[0]: CIDR value \"10.0.0.1/8\" is ambiguous in this context "
        "(should be \"10.0.0.0/8\" or \"10.0.0.1/32\"?)\n");
}

TEST_CASE("warnings: other kinds") {
  CHECK(warned("", "v1", "Secret", R"({"type":"kubernetes.io/tls","data":{"tls.crt":"eA=="}})") ==
        "tls: failed to find any PEM data in certificate input\n");
  CHECK(warned("networking.k8s.io", "v1", "Ingress",
               R"({"metadata":{"annotations":{"kubernetes.io/ingress.class":"n"}},"spec":{}})") ==
        "annotation \"kubernetes.io/ingress.class\" is deprecated, please use "
        "'spec.ingressClassName' instead\n");
  CHECK(warned("", "v1", "ResourceQuota", R"({"spec":{"hard":{"cpu":"2","limits.cpu":"1"}}})") ==
        "ResourceQuota cpu (2) should be less than limits.cpu (1)\n");
  CHECK(warned("", "v1", "PersistentVolume",
               R"({"spec":{"persistentVolumeReclaimPolicy":"Recycle","storageos":{}}})") ==
        "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, "
        "the recommended approach is to use dynamic provisioning.\n"
        "spec.storageOS: deprecated in v1.22, non-functional in v1.25+\n");
  api::ValidationTarget pod{"", "v1", "Pod", true};
  CHECK(lines(api::status_warnings(pod, parse(R"({"status":{"podIPs":[{"ip":"fd00:0::1"}]}})"))) ==
        "status.podIPs[0].ip: IPv6 address \"fd00:0::1\" should be in RFC 5952 canonical format "
        "(\"fd00::1\")\n");
}

TEST_CASE("AppArmor's annotations as fields") {
  CHECK(json::write(api::app_armor_profile("runtime/default")) == R"({"type":"RuntimeDefault"})");
  CHECK(json::write(api::app_armor_profile("localhost/a")) ==
        R"({"type":"Localhost","localhostProfile":"a"})");
  CHECK(api::app_armor_profile("localhost/").is_null());
  CHECK(api::app_armor_profile("other").is_null());
}
