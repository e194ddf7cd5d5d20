#include "cli/kubectl/three_way.h"

#include <catch2/catch.hpp>

#include "api/patch/strategic_merge.h"
#include "cli/kubectl/json_text.h"
#include "unit/kubectl/value.h"

using namespace knarr;
using kubectl::sorted_json;
using kubectl::three_way_patch;

namespace {

struct Case {
  const char* original;
  const char* modified;
  const char* current;
  const char* patch;
};

const api::Type& pod() { return *api::find_type("", "v1", "Pod"); }
const api::Type& deployment() { return *api::find_type("apps", "v1", "Deployment"); }

void check_all(const api::Type* type, std::span<const Case> cases) {
  for (const Case& c : cases) {
    INFO(c.modified);
    auto patch = three_way_patch(type, yaml(c.original), yaml(c.modified), yaml(c.current));
    CHECK(sorted_json(patch) == sorted_json(yaml(c.patch)));
  }
}

}  // namespace

TEST_CASE("without a schema: a JSON merge patch") {
  const Case cases[] = {
      {"{}", "{a: 1}", "{a: 1}", "{}"},
      {"{}", "{a: 1}", "{}", "{a: 1}"},
      {"{}", "{a: 2}", "{a: 1, b: 3}", "{a: 2}"},
      {"{a: 1, b: 2}", "{a: 1}", "{a: 1, b: 2}", "{b: null}"},
      {"{a: 1, b: 2}", "{a: 1}", "{a: 1}", "{}"},
      {"{m: {x: 1, y: 2}}", "{m: {y: 3}}", "{m: {x: 1, y: 2, z: 4}}", "{m: {x: null, y: 3}}"},
      {"{l: [1]}", "{l: [1, 2]}", "{l: [1]}", "{l: [1, 2]}"},
      {"{m: {x: 1}}", "{}", "{m: {x: 1}}", "{m: null}"},
      {"{}", "{a: [1]}", "{a: {b: 1}}", "{a: [1]}"},
  };
  check_all(nullptr, cases);
}

TEST_CASE("lists that merge by key") {
  const Case cases[] = {
      // What the server filled in is left alone.
      {"{}", "{spec: {containers: [{name: a, image: x}]}}",
       "{spec: {containers: [{name: a, image: x, imagePullPolicy: Always}]}}", "{}"},
      {"{}", "{spec: {containers: [{name: a, image: y}]}}",
       "{spec: {containers: [{name: a, image: x}, {name: injected}]}}",
       "{spec: {$setElementOrder/containers: [{name: a}], containers: [{name: a, image: y}]}}"},
      {"{spec: {containers: [{name: a}, {name: b}]}}", "{spec: {containers: [{name: a}]}}",
       "{spec: {containers: [{name: a}, {name: b}]}}",
       "{spec: {$setElementOrder/containers: [{name: a}], "
       "containers: [{$patch: delete, name: b}]}}"},
      {"{spec: {containers: [{name: a, env: [{name: X, value: '1'}]}]}}",
       "{spec: {containers: [{name: a}]}}",
       "{spec: {containers: [{name: a, env: [{name: X, value: '1'}]}]}}",
       "{spec: {$setElementOrder/containers: [{name: a}], containers: [{name: a, env: null}]}}"},
      {"{}", "{spec: {containers: [{name: b}, {name: a}]}}",
       "{spec: {containers: [{name: a}, {name: b}]}}",
       "{spec: {$setElementOrder/containers: [{name: b}, {name: a}]}}"},
      {"{metadata: {finalizers: [a, b]}}", "{metadata: {finalizers: [a, c]}}",
       "{metadata: {finalizers: [a, b, d]}}",
       "{metadata: {$setElementOrder/finalizers: [a, c], $deleteFromPrimitiveList/finalizers: [b], "
       "finalizers: [c]}}"},
      // A list that does not merge is replaced.
      {"{}", "{spec: {containers: [{name: a, args: [x, y]}]}}",
       "{spec: {containers: [{name: a, args: [x]}]}}",
       "{spec: {$setElementOrder/containers: [{name: a}], containers: [{name: a, args: [x, y]}]}}"},
      {"{metadata: {labels: {a: b}}}", "{metadata: {labels: {c: d}}}",
       "{metadata: {labels: {a: b, e: f}}}", "{metadata: {labels: {a: null, c: d}}}"},
  };
  check_all(&pod(), cases);
}

TEST_CASE("fields that retain keys") {
  const Case cases[] = {
      {"{spec: {strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1}}}}",
       "{spec: {strategy: {type: Recreate}}}",
       "{spec: {strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1}}}}",
       "{spec: {strategy: {$retainKeys: [type], type: Recreate, rollingUpdate: null}}}"},
  };
  check_all(&deployment(), cases);
}

TEST_CASE("the server's merge of the patch gives what the file says") {
  const Case cases[] = {
      {"{spec: {containers: [{name: a, image: x}, {name: b}]}}",
       "{spec: {containers: [{name: c, image: z}, {name: a, image: y}]}}",
       "{spec: {containers: [{name: a, image: x}, {name: b}]}}",
       "{spec: {containers: [{name: c, image: z}, {name: a, image: y}]}}"},
      {"{spec: {volumes: [{name: v, emptyDir: {}}]}}",
       "{spec: {volumes: [{name: v, hostPath: {path: /x}}]}}",
       "{spec: {volumes: [{name: v, emptyDir: {}}]}}",
       "{spec: {volumes: [{name: v, hostPath: {path: /x}}]}}"},
      {"{spec: {tolerations: [{key: a}]}}", "{spec: {tolerations: [{key: b}]}}",
       "{spec: {tolerations: [{key: a}]}}", "{spec: {tolerations: [{key: b}]}}"},
  };
  for (const Case& c : cases) {
    INFO(c.modified);
    auto current = yaml(c.current);
    auto patch = three_way_patch(&pod(), yaml(c.original), yaml(c.modified), current);
    auto merged = api::apply_strategic_merge(pod(), current, patch);
    REQUIRE(merged.ok());
    CHECK(sorted_json(*merged) == sorted_json(yaml(c.patch)));
  }
}

TEST_CASE("the last applied configuration") {
  auto object = kubectl::with_last_applied(
      yaml("{kind: ConfigMap, apiVersion: v1, metadata: {name: x, namespace: default}}"));
  CHECK(object["metadata"]["annotations"][kubectl::kLastApplied].as_string() ==
        "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"annotations\":{},\"name\":"
        "\"x\",\"namespace\":\"default\"}}\n");
  // Doing it twice changes nothing.
  CHECK(kubectl::with_last_applied(object) == object);
}
