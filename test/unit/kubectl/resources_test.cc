#include "cli/kubectl/resources.h"

#include <catch2/catch.hpp>

#include "cli/kubectl/discovery.h"
#include "cli/kubectl/manifest.h"
#include "unit/kubectl/value.h"

using namespace knarr::kubectl;

TEST_CASE("resource arguments") {
  struct Case {
    std::vector<std::string> words;
    std::vector<ResourceArg> expected;
  };
  const Case cases[] = {
      {{"pods"}, {{"pods", ""}}},
      {{"pods,svc"}, {{"pods", ""}, {"svc", ""}}},
      {{"pod", "a", "b"}, {{"pod", "a"}, {"pod", "b"}}},
      {{"pod,svc", "a"}, {{"pod", "a"}, {"svc", "a"}}},
      {{"pod/a", "svc/b"}, {{"pod", "a"}, {"svc", "b"}}},
      {{"deployments.apps/web"}, {{"deployments.apps", "web"}}},
      {{}, {}},
  };
  for (const Case& c : cases) {
    auto args = parse_resource_args(c.words);
    REQUIRE(args.ok());
    CHECK(*args == c.expected);
  }
  for (const std::vector<std::string>& wrong :
       std::vector<std::vector<std::string>>{{"pod", "svc/x"}, {"pod/"}, {"/x"}, {"a/b/c"}}) {
    CHECK_FALSE(parse_resource_args(wrong).ok());
  }
}

namespace {

Catalogue sample() {
  Catalogue catalogue;
  catalogue.add_aggregated(yaml(R"(
items:
- metadata: {}
  versions:
  - version: v1
    resources:
    - {resource: pods, singularResource: pod, scope: Namespaced, responseKind: {kind: Pod},
       shortNames: [po], categories: [all], verbs: [get, list], subresources: [{subresource: log}]}
    - {resource: events, singularResource: event, scope: Namespaced, responseKind: {kind: Event},
       shortNames: [ev], verbs: [list]}
    - {resource: nodes, singularResource: node, scope: Cluster, responseKind: {kind: Node},
       shortNames: ["no"], verbs: [list]}
)"));
  catalogue.add_aggregated(yaml(R"(
items:
- metadata: {name: apps}
  versions:
  - version: v1
    resources:
    - {resource: deployments, singularResource: deployment, scope: Namespaced,
       responseKind: {kind: Deployment}, shortNames: [deploy], categories: [all], verbs: [list]}
- metadata: {name: events.k8s.io}
  versions:
  - version: v1
    resources:
    - {resource: events, singularResource: event, scope: Namespaced, responseKind: {kind: Event},
       shortNames: [ev], verbs: [list]}
)"));
  catalogue.add_resource_list(yaml(R"(
groupVersion: example.com/v1beta1
resources:
- {name: widgets, singularName: widget, namespaced: true, kind: Widget, shortNames: [w],
   verbs: [list]}
- {name: widgets/status, namespaced: true, kind: Widget, verbs: [get]}
)"));
  return catalogue;
}

}  // namespace

TEST_CASE("what a word means") {
  Catalogue catalogue = sample();
  struct Case {
    const char* word;
    const char* expected;  // path of "x" in "ns"
  };
  const Case cases[] = {
      {"pods", "/api/v1/namespaces/ns/pods/x"},
      {"po", "/api/v1/namespaces/ns/pods/x"},
      {"Pod", "/api/v1/namespaces/ns/pods/x"},
      {"no", "/api/v1/nodes/x"},
      {"events", "/api/v1/namespaces/ns/events/x"},
      {"events.events.k8s.io", "/apis/events.k8s.io/v1/namespaces/ns/events/x"},
      {"events.v1.events.k8s.io", "/apis/events.k8s.io/v1/namespaces/ns/events/x"},
      {"deployment.apps", "/apis/apps/v1/namespaces/ns/deployments/x"},
      {"deployments.v1.apps", "/apis/apps/v1/namespaces/ns/deployments/x"},
      {"deploy", "/apis/apps/v1/namespaces/ns/deployments/x"},
      {"widget", "/apis/example.com/v1beta1/namespaces/ns/widgets/x"},
  };
  for (const Case& c : cases) {
    INFO(c.word);
    const ApiResource* found = catalogue.find(c.word);
    REQUIRE(found != nullptr);
    CHECK(found->path("ns", "x") == c.expected);
  }
  CHECK(catalogue.find("deployments.extensions") == nullptr);
  CHECK(catalogue.find("foo") == nullptr);
  CHECK(catalogue.resolve("foo").error().message ==
        "the server doesn't have a resource type \"foo\"");
  auto all = catalogue.resolve("all");
  REQUIRE(all.ok());
  CHECK(all->size() == 2);
  CHECK(catalogue.find("w")->has_subresource("status"));
  CHECK(catalogue.find_kind("apps/v1", "Deployment")->lower_kind() == "deployment.apps");
  CHECK(catalogue.find("po")->lower_kind() == "pod");
  CHECK(catalogue.find("po")->path("ns", "a b", "log") == "/api/v1/namespaces/ns/pods/a%20b/log");
}

TEST_CASE("manifests") {
  auto found = parse_manifests(
      "kind: Pod\napiVersion: v1\nmetadata: {name: a}\n---\n---\n"
      "apiVersion: v1\nkind: List\nitems:\n- {kind: Service, apiVersion: v1, metadata: {name: b}}\n"
      "- {kind: Pod, apiVersion: v1, metadata: {name: c}}\n",
      "f.yaml");
  REQUIRE(found.ok());
  REQUIRE(found->size() == 3);
  CHECK((*found)[1].object["metadata"]["name"].as_string() == "b");
  CHECK((*found)[1].source == "f.yaml");
  CHECK(parse_manifests("{\"kind\": \"Pod\", \"apiVersion\": \"v1\"}", "f")->size() == 1);
  CHECK(parse_manifests("", "f")->empty());
  CHECK(parse_manifests("apiVersion: v1\n", "f").error().message ==
        "error validating \"f\": error validating data: kind not set");
  CHECK_FALSE(parse_manifests("just text", "f").ok());
}
