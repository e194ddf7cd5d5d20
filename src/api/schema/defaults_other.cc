// Defaults of the groups that need few: networking, rbac, apiextensions, resource.
#include <string>

#include "api/schema/default_hooks.h"

namespace knarr::api {

void default_networking_v1_NetworkPolicy(json::Value& policy) {
  json::Value& spec = policy.member("spec");
  if (!spec["policyTypes"].empty()) return;
  json::Value types = json::Value::array({"Ingress"});
  if (!spec["egress"].empty()) types.push_back("Egress");
  spec.set("policyTypes", std::move(types));
}

void default_rbac_v1_Subject(json::Value& subject) {
  bool known = is_text(subject, "kind", "User") || is_text(subject, "kind", "Group");
  if (known) fill_blank(subject, "apiGroup", "rbac.authorization.k8s.io");
}

void default_apiextensions_v1_CustomResourceDefinition(json::Value& crd) {
  json::Value& status = crd.member("status");  // first: a new member moves the others
  json::Value& spec = crd.member("spec");
  json::Value& names = spec.member("names");
  std::string kind = names["kind"].text();
  if (blank(names, "singular")) {
    std::string singular = kind;
    for (char& c : singular) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    names.set("singular", singular);
  }
  if (!kind.empty()) fill_blank(names, "listKind", kind + "List");
  fill(spec, "conversion", json::Value::object({{"strategy", "None"}}));
  if (!status["storedVersions"].empty()) return;
  for (const json::Value& version : spec["versions"].elements()) {
    if (!version["storage"].as_bool()) continue;
    status.set("storedVersions", json::Value::array({version["name"]}));
    return;
  }
}

namespace {

void default_count(json::Value& request) {
  bool exact = is_text(request, "allocationMode", "ExactCount");
  if (exact && request["count"].as_int() == 0) request.set("count", 1);
}

}  // namespace

void default_resource_v1_ExactDeviceRequest(json::Value& request) { default_count(request); }

void default_resource_v1_DeviceSubRequest(json::Value& request) { default_count(request); }

}  // namespace knarr::api
