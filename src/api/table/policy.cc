// Who may do what, in which order, and what is let in: rbac, policy, scheduling, flowcontrol,
// admissionregistration.
#include "api/selector.h"
#include "api/table/columns.h"

namespace knarr::api::table {
namespace {

std::string number_or_text(const json::Value& value, const char* missing) {
  if (value.is_null()) return missing;
  return value.is_string() ? value.text() : std::to_string(value.as_int());
}
json::Value min_available(const json::Value& budget, int64_t) {
  return number_or_text(budget["spec"]["minAvailable"], "N/A");
}
json::Value max_unavailable(const json::Value& budget, int64_t) {
  return number_or_text(budget["spec"]["maxUnavailable"], "N/A");
}

json::Value role(const json::Value& binding, int64_t) {
  return binding["roleRef"]["kind"].text() + "/" + binding["roleRef"]["name"].text();
}
json::Value subjects(const json::Value& binding, std::string_view kind) {
  std::vector<std::string> out;
  for (const json::Value& subject : binding["subjects"].elements()) {
    if (subject["kind"].as_string() != kind) continue;
    std::string name = subject["name"].text();
    out.push_back(kind == "ServiceAccount" ? subject["namespace"].text() + "/" + name : name);
  }
  return joined(out, ", ");
}
json::Value users(const json::Value& binding, int64_t) { return subjects(binding, "User"); }
json::Value groups(const json::Value& binding, int64_t) { return subjects(binding, "Group"); }
json::Value accounts(const json::Value& binding, int64_t) {
  return subjects(binding, "ServiceAccount");
}

json::Value global_default(const json::Value& object, int64_t) {
  return object["globalDefault"].as_bool();
}

json::Value missing_level(const json::Value& schema, int64_t) {
  std::string_view status = condition_status(schema["status"]["conditions"], "Dangling");
  return status.empty() ? "?" : status;
}

const json::Value& limited(const json::Value& level) { return level["spec"]["limited"]; }
json::Value shares(const json::Value& level, int64_t) {
  const json::Value& value = limited(level)["nominalConcurrencyShares"];
  return limited(level).is_null() || value.is_null() ? json::Value("<none>") : value;
}
json::Value queuing(const json::Value& level, const char* member) {
  const json::Value& queuing = limited(level)["limitResponse"]["queuing"];
  if (queuing.is_null()) return "<none>";
  return queuing[member].as_int();
}
json::Value queues(const json::Value& level, int64_t) { return queuing(level, "queues"); }
json::Value hand_size(const json::Value& level, int64_t) { return queuing(level, "handSize"); }
json::Value queue_limit(const json::Value& level, int64_t) {
  return queuing(level, "queueLengthLimit");
}

json::Value webhooks(const json::Value& object, int64_t) {
  return static_cast<int64_t>(object["webhooks"].size());
}
json::Value validations(const json::Value& object, int64_t) {
  return static_cast<int64_t>(object["spec"]["validations"].size());
}
json::Value mutations(const json::Value& object, int64_t) {
  return static_cast<int64_t>(object["spec"]["mutations"].size());
}
json::Value param_kind(const json::Value& object, int64_t) {
  const json::Value& kind = object["spec"]["paramKind"];
  return kind.is_null() ? "<unset>" : kind["apiVersion"].text() + "/" + kind["kind"].text();
}
json::Value param_ref(const json::Value& object, int64_t) {
  const json::Value& ref = object["spec"]["paramRef"];
  if (ref.is_null()) return "<unset>";
  std::string_view name = ref["name"].as_string();
  if (name.empty()) return selector_text(ref["selector"], "", "<error>");
  std::string_view ns = ref["namespace"].as_string();
  return std::string(ns.empty() ? "*" : ns) + "/" + std::string(name);
}

constexpr Column kBudgets[] = {
    name_column(),
    cell("Min Available", min_available),
    cell("Max Unavailable", max_unavailable),
    number("Allowed Disruptions", "status.disruptionsAllowed"),
    age_column(),
};
constexpr Column kBindings[] = {
    name_column(),
    cell("Role", role),
    age_column(),
    cell("Users", users, "string", 1),
    cell("Groups", groups, "string", 1),
    cell("ServiceAccounts", accounts, "string", 1),
};
constexpr Column kPriorityClasses[] = {
    name_column(),
    number("Value", "value"),
    cell("Global-Default", global_default, "boolean"),
    age_column(),
    text("PreemptionPolicy", "preemptionPolicy"),
};
constexpr Column kFlowSchemas[] = {
    name_column(),
    text("PriorityLevel", "spec.priorityLevelConfiguration.name"),
    number("MatchingPrecedence", "spec.matchingPrecedence", "string"),
    text("DistinguisherMethod", "spec.distinguisherMethod.type", "<none>"),
    age_column(),
    cell("MissingPL", missing_level),
};
constexpr Column kPriorityLevels[] = {
    name_column(),          text("Type", "spec.type"),   cell("NominalConcurrencyShares", shares),
    cell("Queues", queues), cell("HandSize", hand_size), cell("QueueLengthLimit", queue_limit),
    age_column(),
};
constexpr Column kWebhooks[] = {name_column(), cell("Webhooks", webhooks, "integer"), age_column()};
constexpr Column kValidatingPolicies[] = {name_column(),
                                          cell("Validations", validations, "integer"),
                                          cell("ParamKind", param_kind), age_column()};
constexpr Column kMutatingPolicies[] = {name_column(), cell("Mutations", mutations, "integer"),
                                        cell("ParamKind", param_kind), age_column()};
constexpr Column kPolicyBindings[] = {name_column(), text("PolicyName", "spec.policyName"),
                                      cell("ParamRef", param_ref), age_column()};

constexpr std::string_view kAdmission = "admissionregistration.k8s.io";
constexpr std::string_view kRbac = "rbac.authorization.k8s.io";
constexpr std::string_view kFlow = "flowcontrol.apiserver.k8s.io";
constexpr ResourceTable kTables[] = {
    {"policy", "poddisruptionbudgets", kBudgets},
    {kRbac, "clusterrolebindings", kBindings},
    {kRbac, "rolebindings", kBindings},
    {"scheduling.k8s.io", "priorityclasses", kPriorityClasses},
    {kFlow, "flowschemas", kFlowSchemas},
    {kFlow, "prioritylevelconfigurations", kPriorityLevels},
    {kAdmission, "mutatingwebhookconfigurations", kWebhooks},
    {kAdmission, "validatingwebhookconfigurations", kWebhooks},
    {kAdmission, "validatingadmissionpolicies", kValidatingPolicies},
    {kAdmission, "validatingadmissionpolicybindings", kPolicyBindings},
    {kAdmission, "mutatingadmissionpolicies", kMutatingPolicies},
    {kAdmission, "mutatingadmissionpolicybindings", kPolicyBindings},
};

}  // namespace

std::span<const ResourceTable> policy_tables() { return kTables; }

}  // namespace knarr::api::table
