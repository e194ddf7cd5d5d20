#include "server/auth/pod_references.h"

#include <catch2/catch.hpp>
#include <map>
#include <string>

using namespace knarr;
using namespace knarr::server;

namespace {

json::Value parsed(const std::string& text) {
  auto value = json::parse(text);
  REQUIRE(value.ok());
  return *std::move(value);
}

// "secret:a claim:b" of a pod named p.
std::string references(const std::string& more) {
  static const std::map<Reference, std::string> kWords = {
      {Reference::kServiceAccount, "account"},
      {Reference::kSecret, "secret"},
      {Reference::kConfigMap, "map"},
      {Reference::kTrustBundle, "bundle"},
      {Reference::kClaim, "claim"},
      {Reference::kOwnClaim, "own"},
      {Reference::kResourceClaim, "resource"},
  };
  std::string text;
  for_each_reference(parsed(R"({"metadata":{"name":"p"},)" + more + "}"),
                     [&](Reference kind, std::string_view name) {
                       text +=
                           (text.empty() ? "" : " ") + kWords.at(kind) + ":" + std::string(name);
                     });
  return text;
}

}  // namespace

TEST_CASE("what a pod refers to") {
  struct Case {
    const char* pod;
    const char* want;
  };
  const Case cases[] = {
      {R"("spec":{"containers":[{"name":"c","env":[{"name":"e","value":"v"}]}],
         "volumes":[{"name":"secretName","emptyDir":{}},{"name":"h","hostPath":{"path":"/"}}]})",
       ""},
      {R"("spec":{"serviceAccountName":"sa","imagePullSecrets":[{"name":"pull"}]})",
       "account:sa secret:pull"},
      {R"("spec":{"containers":[{"env":[{"valueFrom":{"secretKeyRef":{"name":"a","key":"k"}}},
         {"valueFrom":{"configMapKeyRef":{"name":"b","key":"k"}}}]}],
         "initContainers":[{"envFrom":[{"secretRef":{"name":"c"}}]}],
         "ephemeralContainers":[{"envFrom":[{"configMapRef":{"name":"d"}}]}]})",
       "secret:a map:b secret:c map:d"},
      {R"("spec":{"volumes":[{"name":"v","secret":{"secretName":"a"}},
         {"name":"w","configMap":{"name":"b"}},
         {"name":"x","projected":{"sources":[{"secret":{"name":"c"}},{"configMap":{"name":"d"}},
           {"clusterTrustBundle":{"name":"e"}},{"serviceAccountToken":{"path":"t"}}]}}]})",
       "secret:a map:b secret:c map:d bundle:e"},
      {R"("spec":{"volumes":[{"name":"v","cephfs":{"secretRef":{"name":"a"}}},
         {"name":"w","csi":{"driver":"d","nodePublishSecretRef":{"name":"b"}}},
         {"name":"x","azureFile":{"secretName":"c"}}]})",
       "secret:a secret:b secret:c"},
      {R"("spec":{"volumes":[{"name":"v","persistentVolumeClaim":{"claimName":"a"}},
         {"name":"w","ephemeral":{"volumeClaimTemplate":{}}}]})",
       "claim:a own:p-w"},
      {R"("spec":{"resourceClaims":[{"name":"r","resourceClaimName":"a"},
         {"name":"s","resourceClaimTemplateName":"t"}]},
         "status":{"resourceClaimStatuses":[{"name":"s","resourceClaimName":"b"}],
         "extendedResourceClaimStatus":{"resourceClaimName":"c"}})",
       "resource:a resource: resource:b resource:c"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.pod);
    CHECK(references(c.pod) == c.want);
  }
}

TEST_CASE("a mirror pod gives its node nothing to read") {
  const std::string rest = R"("spec":{"serviceAccountName":"sa"}})";
  json::Value pod = parsed(R"({"metadata":{"name":"p"},)" + rest);
  CHECK(refers_to(pod, Reference::kServiceAccount, "sa"));
  CHECK_FALSE(refers_to(pod, Reference::kServiceAccount, "other"));
  CHECK_FALSE(refers_to(pod, Reference::kSecret, "sa"));
  pod = parsed(R"({"metadata":{"annotations":{"kubernetes.io/config.mirror":"x"}},)" + rest);
  CHECK_FALSE(refers_to(pod, Reference::kServiceAccount, "sa"));
}
