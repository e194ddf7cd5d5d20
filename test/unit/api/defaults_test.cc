#include "api/schema/defaults.h"

#include <string>

#include "api/codec/decode.h"
#include "api/codec/encode.h"
#include "catch2/catch.hpp"

using namespace knarr;
using namespace knarr::api;

namespace {

std::string defaulted(const char* group, const char* version, const char* kind,
                      std::string_view text) {
  const Type* type = find_type(group, version, kind);
  REQUIRE(type != nullptr);
  auto decoded = decode_json(*type, text);
  REQUIRE(decoded.ok());
  apply_defaults(*type, decoded->value);
  std::string once = encode_json(*type, decoded->value);
  apply_defaults(*type, decoded->value);
  CHECK(encode_json(*type, decoded->value) == once);
  return once;
}

}  // namespace

TEST_CASE("a pod is filled in, a template less so") {
  CHECK(
      defaulted(
          "", "v1", "Pod",
          R"({"spec":{"hostNetwork":true,"volumes":[{"name":"v"},{"name":"s","secret":{"secretName":"x"}}],
    "containers":[{"name":"c","image":"a/b:1","ports":[{"containerPort":80}],"resources":{"limits":{"cpu":"1n"}},
    "livenessProbe":{"httpGet":{"port":80}}}]}})") ==
      R"({"metadata":{},"spec":{"volumes":[{"name":"v","emptyDir":{}},{"name":"s","secret":{"secretName":"x","defaultMode":420}}],)"
      R"("containers":[{"name":"c","image":"a/b:1","ports":[{"hostPort":80,"containerPort":80,"protocol":"TCP"}],)"
      R"("resources":{"limits":{"cpu":"1m"},"requests":{"cpu":"1m"}},"livenessProbe":{"httpGet":{"path":"/","port":80,"scheme":"HTTP"},)"
      R"("timeoutSeconds":1,"periodSeconds":10,"successThreshold":1,"failureThreshold":3},)"
      R"("terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","imagePullPolicy":"IfNotPresent"}],)"
      R"("restartPolicy":"Always","terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst","hostNetwork":true,)"
      R"("securityContext":{},"schedulerName":"default-scheduler","enableServiceLinks":true},"status":{}})");

  std::string deployment = defaulted(
      "apps", "v1", "Deployment",
      R"({"spec":{"template":{"spec":{"containers":[{"name":"c","image":"x@sha256:0"},{"name":"d","image":"h:5000/x"}]}}}})");
  CHECK(deployment.find(R"("replicas":1)") != std::string::npos);
  CHECK(
      deployment.find(
          R"("strategy":{"type":"RollingUpdate","rollingUpdate":{"maxUnavailable":"25%","maxSurge":"25%"}},"revisionHistoryLimit":10,"progressDeadlineSeconds":600)") !=
      std::string::npos);
  CHECK(deployment.find(R"("imagePullPolicy":"IfNotPresent")") != std::string::npos);
  CHECK(deployment.find(R"("imagePullPolicy":"Always")") != std::string::npos);
  CHECK(deployment.find("enableServiceLinks") == std::string::npos);
}

TEST_CASE("services") {
  struct {
    const char* spec;
    const char* expected;
  } cases[] = {
      {R"({"ports":[{"port":80}]})",
       R"({"ports":[{"protocol":"TCP","port":80,"targetPort":80}],"type":"ClusterIP","sessionAffinity":"None","internalTrafficPolicy":"Cluster"})"},
      {R"({"type":"ExternalName"})", R"({"type":"ExternalName","sessionAffinity":"None"})"},
      {R"({"type":"NodePort","sessionAffinity":"ClientIP"})",
       R"({"type":"NodePort","sessionAffinity":"ClientIP","externalTrafficPolicy":"Cluster","sessionAffinityConfig":{"clientIP":{"timeoutSeconds":10800}},"internalTrafficPolicy":"Cluster"})"},
      {R"({"type":"LoadBalancer"})",
       R"({"type":"LoadBalancer","sessionAffinity":"None","externalTrafficPolicy":"Cluster","allocateLoadBalancerNodePorts":true,"internalTrafficPolicy":"Cluster"})"},
  };
  for (const auto& c : cases) {
    CHECK(defaulted("", "v1", "Service", std::string(R"({"spec":)") + c.spec + "}") ==
          std::string(R"({"metadata":{},"spec":)") + c.expected +
              R"(,"status":{"loadBalancer":{}}})");
  }
}

TEST_CASE("kinds of their own") {
  struct {
    const char* group;
    const char* version;
    const char* kind;
    const char* text;
    const char* part;
  } cases[] = {
      {"apps", "v1", "StatefulSet", "{}",
       R"("podManagementPolicy":"OrderedReady","updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"partition":0}},"revisionHistoryLimit":10,"persistentVolumeClaimRetentionPolicy":{"whenDeleted":"Retain","whenScaled":"Retain"}})"},
      {"apps", "v1", "StatefulSet", R"({"spec":{"volumeClaimTemplates":[{"spec":{}}]}})",
       R"("volumeMode":"Filesystem"},"status":{"phase":"Pending"})"},
      {"apps", "v1", "DaemonSet", "{}",
       R"("updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"maxUnavailable":1,"maxSurge":0}},"revisionHistoryLimit":10)"},
      {"batch", "v1", "Job", R"({"spec":{"template":{"metadata":{"labels":{"a":"b"}},"spec":{}}}})",
       R"({"metadata":{"labels":{"a":"b"}},"spec":{"parallelism":1,"completions":1,"backoffLimit":6,"manualSelector":false,)"},
      {"batch", "v1", "Job",
       R"({"spec":{"backoffLimitPerIndex":0,"podFailurePolicy":{"rules":[]}}})",
       R"("backoffLimit":2147483647)"},
      {"batch", "v1", "CronJob", R"({"spec":{"schedule":"* * * * *"}})",
       R"("concurrencyPolicy":"Allow","suspend":false)"},
      {"", "v1", "Secret", "{}", R"("type":"Opaque")"},
      {"", "v1", "Secret", R"({"data":{"a":"eA==","c":"eA=="},"stringData":{"a":"root","b":""}})",
       R"({"metadata":{},"data":{"a":"cm9vdA==","b":"","c":"eA=="},"type":"Opaque"})"},
      {"", "v1", "PodTemplate", R"({"template":{"spec":{"serviceAccount":"x"}}})",
       R"("serviceAccountName":"x","serviceAccount":"x")"},
      {"", "v1", "Pod", R"({"status":{"podIP":"1.2.3.4","podIPs":[{"ip":"9.9.9.9"}]}})",
       R"("status":{"podIP":"1.2.3.4","podIPs":[{"ip":"1.2.3.4"}]})"},
      {"", "v1", "Node", R"({"spec":{"podCIDRs":["10.0.0.0/24"]}})",
       R"("spec":{"podCIDR":"10.0.0.0/24","podCIDRs":["10.0.0.0/24"]})"},
      {"", "v1", "Namespace",
       R"({"metadata":{"name":"n","labels":{"kubernetes.io/metadata.name":"other"}}})",
       R"({"metadata":{"name":"n","labels":{"kubernetes.io/metadata.name":"n"}},"spec":{},"status":{"phase":"Active"}})"},
      {"", "v1", "LimitRange",
       R"({"spec":{"limits":[{"type":"Container","max":{"cpu":"2"},"min":{"cpu":"1","memory":"1"}}]}})",
       R"("default":{"cpu":"2"},"defaultRequest":{"cpu":"2","memory":"1"})"},
      {"", "v1", "Node", R"({"status":{"capacity":{"cpu":"4"}}})", R"("allocatable":{"cpu":"4"})"},
      {"", "v1", "PersistentVolume", R"({"spec":{"hostPath":{"path":"/x"}}})",
       R"("hostPath":{"path":"/x","type":""},"persistentVolumeReclaimPolicy":"Retain","volumeMode":"Filesystem")"},
      {"autoscaling", "v2", "HorizontalPodAutoscaler", R"({"spec":{"behavior":{}}})",
       R"("minReplicas":1,"maxReplicas":0,"metrics":[{"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":80}}}],"behavior":{"scaleUp":{"stabilizationWindowSeconds":0,"selectPolicy":"Max","policies":[{"type":"Pods","value":4,"periodSeconds":15},{"type":"Percent","value":100,"periodSeconds":15}]},"scaleDown":{"selectPolicy":"Max","policies":[{"type":"Percent","value":100,"periodSeconds":15}]}})"},
      {"networking.k8s.io", "v1", "NetworkPolicy",
       R"({"spec":{"egress":[{"ports":[{"port":1}]}]}})",
       R"("egress":[{"ports":[{"protocol":"TCP","port":1}]}],"policyTypes":["Ingress","Egress"])"},
      {"rbac.authorization.k8s.io", "v1", "RoleBinding",
       R"({"subjects":[{"kind":"User","name":"u"},{"kind":"ServiceAccount","name":"s"}]})",
       R"("subjects":[{"kind":"User","apiGroup":"rbac.authorization.k8s.io","name":"u"},{"kind":"ServiceAccount","name":"s"}],"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"","name":""})"},
      {"storage.k8s.io", "v1", "StorageClass", R"({"provisioner":"x"})",
       R"("reclaimPolicy":"Delete","volumeBindingMode":"Immediate")"},
      {"flowcontrol.apiserver.k8s.io", "v1", "FlowSchema", "{}", R"("matchingPrecedence":1000)"},
      {"apiextensions.k8s.io", "v1", "CustomResourceDefinition",
       R"({"spec":{"names":{"kind":"Foo"},"versions":[{"name":"v2"},{"name":"v1","storage":true}]}})",
       R"("singular":"foo","kind":"Foo","listKind":"FooList")"},
      {"discovery.k8s.io", "v1", "EndpointSlice", R"({"ports":[{"port":1}]})",
       R"("ports":[{"name":"","protocol":"TCP","port":1}])"},
      {"resource.k8s.io", "v1", "ResourceClaim",
       R"({"spec":{"devices":{"requests":[{"name":"a","exactly":{"deviceClassName":"c"}}]}}})",
       R"("allocationMode":"ExactCount","count":1)"},
  };
  for (const auto& c : cases) {
    std::string text = defaulted(c.group, c.version, c.kind, c.text);
    INFO(text);
    CHECK(text.find(c.part) != std::string::npos);
  }
}
