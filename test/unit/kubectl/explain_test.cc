#include <catch2/catch.hpp>

#include "cli/kubectl/explain_text.h"

using namespace knarr;

namespace {

const char* kDocument = R"({"components":{"schemas":{
  "io.k8s.api.x.v1.Thing":{"description":"A thing.","type":"object","required":["spec"],
    "x-kubernetes-group-version-kind":[{"group":"x","kind":"Thing","version":"v1"}],
    "properties":{"spec":{"allOf":[{"$ref":"#/components/schemas/io.k8s.api.x.v1.Spec"}],
                          "description":"What it shall be."}}},
  "io.k8s.api.x.v1.Spec":{"description":"The spec.","type":"object","properties":{
    "parts":{"type":"array","items":{"$ref":"#/components/schemas/io.k8s.api.x.v1.Spec"},
             "description":"Parts."},
    "mode":{"type":"string","enum":["A","B"],"description":"How."},
    "notes":{"type":"object","additionalProperties":{"type":"string"},"description":"Notes."}}}}}})";

std::string explained(std::vector<std::string> fields, bool recursive = false) {
  Result<json::Value> document = json::parse(kDocument);
  REQUIRE(document.ok());
  kubectl::ExplainOptions options{"x", "v1", "Thing", std::move(fields), recursive};
  Result<std::string> text = kubectl::explain_text(*document, options);
  return text.ok() ? *text : text.error().message;
}

const std::string kHead = "GROUP:      x\nKIND:       Thing\nVERSION:    v1\n\n";

}  // namespace

TEST_CASE("explain tells of a kind, a field, everything below") {
  CHECK(explained({}) == kHead +
                             "DESCRIPTION:\n    A thing.\n\nFIELDS:\n  spec\t<Spec> -required-\n"
                             "    What it shall be.\n\n");
  CHECK(explained({"spec", "mode"}) ==
        kHead + "FIELD: mode <string>\nENUM:\n    A\n    B\n\nDESCRIPTION:\n    How.\n\n");
  CHECK(explained({}, true) == kHead +
                                   "DESCRIPTION:\n    A thing.\n\nFIELDS:\n  spec\t<Spec> "
                                   "-required-\n    mode\t<string>\n    enum: A, B\n"
                                   "    notes\t<map[string]string>\n    parts\t<[]Spec>\n");
  CHECK(explained({"spec", "nope"}) == "field \"nope\" does not exist");
}
