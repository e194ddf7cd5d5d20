// Webhooks and admission policies. Expressions are compiled elsewhere.
#include <algorithm>
#include <set>

#include "api/validation/rules.h"

namespace knarr::api::rules {
namespace {

void rule(const Value& rule, bool mutating_policy, const Path& path, ErrorList& errors) {
  for (const char* member : {"apiGroups", "apiVersions", "resources"}) {
    const Value& list = rule[member];
    if (list.empty()) errors.required(path / member);
    bool star = false;
    for (const Value& one : list.elements()) star |= one.as_string() == "*";
    if (star && list.size() > 1 && std::string_view(member) != "resources") {
      errors.invalid(path / member, list, "if '*' is present, must not specify other API groups");
    }
  }
  maybe_one_of(rule["scope"], {"*", "Cluster", "Namespaced"}, path / "scope", errors);
  const Value& operations = rule["operations"];
  if (operations.empty()) errors.required(path / "operations");
  bool any = false;
  for (const Value& operation : operations.elements()) any |= operation.as_string() == "*";
  if (any && operations.size() > 1) {
    errors.invalid(path / "operations", operations,
                   "if '*' is present, must not specify other operations");
  }
  size_t i = 0;
  for (const Value& operation : operations.elements()) {
    size_t index = i++;
    if (mutating_policy) {
      maybe_one_of(operation, {"*", "CONNECT", "CREATE", "UPDATE"}, path / "operations", errors);
    } else {
      maybe_one_of(operation, {"*", "CONNECT", "CREATE", "DELETE", "UPDATE"},
                   (path / "operations")[index], errors);
    }
  }
}

void client_config(const Value& config, const Path& path, ErrorList& errors) {
  bool url = !config["url"].is_null();
  const Value& service = config["service"];
  if (url == !service.is_null()) {
    errors.required(path, "exactly one of url or service is required");
    return;
  }
  if (url) {
    std::string_view text = config["url"].as_string();
    if (text.substr(0, 8) != "https://") {
      errors.invalid(path / "url", text.substr(0, text.find(':')),
                     "'https' is the only allowed URL scheme; desired format: https://host[/path]");
    }
    return;
  }
  for (const char* member : {"name", "namespace"}) {
    if (service[member].as_string().empty()) {
      errors.required(path / "service" / member);
    }
  }
  const Value& port = service["port"];
  if (!port.is_null() && !check_port_number(port.as_int()).empty()) {
    errors.invalid(path / "service" / "port", port,
                   "port is not valid: must be between 1 and 65535, inclusive");
  }
}

void webhook(const Value& hook, bool mutating, const Path& path, ErrorList& errors) {
  fully_qualified_name(hook["name"], path / "name", errors);
  label_selector(hook["namespaceSelector"], path / "namespaceSelector", errors);
  label_selector(hook["objectSelector"], path / "objectSelector", errors);
  maybe_one_of(hook["failurePolicy"], {"Fail", "Ignore"}, path / "failurePolicy", errors);
  maybe_one_of(hook["matchPolicy"], {"Equivalent", "Exact"}, path / "matchPolicy", errors);
  if (hook["sideEffects"].is_null()) {
    errors.required(path / "sideEffects", "must specify one of None, NoneOnDryRun");
  } else {
    maybe_one_of(hook["sideEffects"], {"None", "NoneOnDryRun"}, path / "sideEffects", errors);
  }
  const Value& timeout = hook["timeoutSeconds"];
  if (!timeout.is_null() && (timeout.as_int() > 30 || timeout.as_int() < 1)) {
    errors.invalid(path / "timeoutSeconds", timeout,
                   "the timeout value must be between 1 and 30 seconds");
  }
  size_t i = 0;
  for (const Value& one : hook["rules"].elements()) rule(one, false, (path / "rules")[i++], errors);
  if (mutating) {
    maybe_one_of(hook["reinvocationPolicy"], {"IfNeeded", "Never"}, path / "reinvocationPolicy",
                 errors);
  }
  client_config(hook["clientConfig"], path / "clientConfig", errors);
}

void webhooks(const Value& object, bool mutating, ErrorList& errors) {
  std::set<std::string_view> names;
  size_t i = 0;
  for (const Value& hook : object["webhooks"].elements()) {
    Path at = Path("webhooks")[i++];
    webhook(hook, mutating, at, errors);
    const Value& versions = hook["admissionReviewVersions"];
    if (versions.empty()) {
      errors.required(at / "admissionReviewVersions", "must specify one of v1, v1beta1");
    }
    bool known = versions.empty();
    for (const Value& version : versions.elements()) {
      known |= version.as_string() == "v1" || version.as_string() == "v1beta1";
    }
    if (!known) {
      errors.invalid(at / "admissionReviewVersions", versions,
                     "must include at least one of v1, v1beta1");
    }
    if (!names.insert(hook["name"].as_string()).second) errors.duplicate(at / "name", hook["name"]);
  }
}
void validating_webhooks(const Value& object, ErrorList& errors) {
  webhooks(object, false, errors);
}
void mutating_webhooks(const Value& object, ErrorList& errors) { webhooks(object, true, errors); }

void match_resources(const Value& match, bool mutating, const Path& path, ErrorList& errors) {
  label_selector(match["namespaceSelector"], path / "namespaceSelector", errors);
  label_selector(match["objectSelector"], path / "objectSelector", errors);
  size_t i = 0;
  for (const Value& one : match["resourceRules"].elements()) {
    Path at = mutating ? path / "resourceRules" : (path / "resourceRules")[i];
    rule(one, mutating, at, errors);
    i++;
  }
  maybe_one_of(match["matchPolicy"], {"Equivalent", "Exact"}, path / "matchPolicy", errors);
}

void policy_common(const Value& spec, bool mutating, const Path& path, ErrorList& errors) {
  maybe_one_of(spec["failurePolicy"], {"Fail", "Ignore"}, path / "failurePolicy", errors);
  const Value& kind = spec["paramKind"];
  if (!kind.is_null()) {
    for (const char* member : {"apiVersion", "kind"}) {
      if (kind[member].as_string().empty()) errors.required(path / "paramKind" / member);
    }
  }
  if (spec["matchConstraints"].is_null()) {
    errors.required(path / "matchConstraints");
  } else {
    match_resources(spec["matchConstraints"], mutating, path / "matchConstraints", errors);
  }
}

void validating_policy(const Value& object, ErrorList& errors) {
  const Value& spec = object["spec"];
  Path path("spec");
  policy_common(spec, false, path, errors);
  if (spec["validations"].empty() && spec["auditAnnotations"].empty()) {
    errors.required(path / "validations", "validations or auditAnnotations must be non-empty");
  }
  size_t i = 0;
  for (const Value& validation : spec["validations"].elements()) {
    Path at = (path / "validations")[i++];
    if (validation["expression"].as_string().empty())
      errors.required(at / "expression", "expression is not specified");
  }
}

void mutating_policy(const Value& object, ErrorList& errors) {
  const Value& spec = object["spec"];
  Path path("spec");
  policy_common(spec, true, path, errors);
  if (spec["mutations"].empty()) {
    errors.required(path / "mutations", "mutations must contain at least one item");
  }
  one_of(spec["reinvocationPolicy"], {"IfNeeded", "Never"}, path / "reinvocationPolicy", errors);
  size_t i = 0;
  for (const Value& mutation : spec["mutations"].elements()) {
    one_of(mutation["patchType"], {"ApplyConfiguration", "JSONPatch"},
           (path / "mutations")[i++] / "patchType", errors);
  }
}

void param_ref(const Value& ref, const Path& path, ErrorList& errors) {
  if (ref.is_null()) return;
  bool named = !ref["name"].as_string().empty();
  if (named == !ref["selector"].is_null()) {
    errors.required(path, named ? "name and selector are mutually exclusive"
                                : "one of name or selector must be specified");
  }
  one_of(ref["parameterNotFoundAction"], {"Deny", "Allow"}, path / "parameterNotFoundAction",
         errors);
}

void binding_common(const Value& object, ErrorList& errors) {
  Path path("spec");
  if (object["spec"]["policyName"].as_string().empty()) {
    errors.required(path / "policyName");
  } else {
    dns_subdomain(object["spec"]["policyName"], path / "policyName", errors);
  }
  param_ref(object["spec"]["paramRef"], path / "paramRef", errors);
  if (!object["spec"]["matchResources"].is_null()) {
    match_resources(object["spec"]["matchResources"], false, path / "matchResources", errors);
  }
}

void validating_binding(const Value& object, ErrorList& errors) {
  binding_common(object, errors);
  const Value& actions = object["spec"]["validationActions"];
  Path path = Path("spec") / "validationActions";
  if (actions.empty()) return errors.required(path, "at least one validation action is required");
  std::set<std::string_view> seen;
  size_t i = 0;
  for (const Value& action : actions.elements()) {
    Path at = path[i++];
    maybe_one_of(action, {"Audit", "Deny", "Warn"}, at, errors);
    if (!seen.insert(action.as_string()).second) errors.duplicate(at, action);
  }
  if (seen.count("Deny") && seen.count("Warn")) {
    errors.invalid(path, actions,
                   "must not contain both Deny and Warn (repeating the same validation failure "
                   "information in the API response and headers serves no purpose)");
  }
}

constexpr std::string_view kGroup = "admissionregistration.k8s.io";
constexpr int kShape = kCreateFirst | kNoMetaUpdate | kPlainFinalizers;
constexpr KindRules kRules[] = {
    {kGroup, "ValidatingWebhookConfiguration", name_is_dns_subdomain, validating_webhooks, nullptr,
     nullptr, nullptr, kShape},
    {kGroup, "MutatingWebhookConfiguration", name_is_dns_subdomain, mutating_webhooks, nullptr,
     nullptr, nullptr, kShape},
    {kGroup, "ValidatingAdmissionPolicy", name_is_dns_subdomain, validating_policy, nullptr,
     nullptr, nullptr, kShape},
    {kGroup, "MutatingAdmissionPolicy", name_is_dns_subdomain, mutating_policy, nullptr, nullptr,
     nullptr, kShape},
    {kGroup, "ValidatingAdmissionPolicyBinding", name_is_dns_subdomain, validating_binding, nullptr,
     nullptr, nullptr, kShape},
    {kGroup, "MutatingAdmissionPolicyBinding", name_is_dns_subdomain, binding_common, nullptr,
     nullptr, nullptr, kShape},
};

}  // namespace

std::span<const KindRules> admission_rules() { return kRules; }

}  // namespace knarr::api::rules
