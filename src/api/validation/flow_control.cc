// API priority and fairness: flow schemas and priority levels.
#include "api/validation/flow_control.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "api/validation/internal.h"
#include "base/format.h"

namespace knarr::api::rules {
namespace {

constexpr std::string_view kGroup = "flowcontrol.apiserver.k8s.io";

bool has_wildcard(const Value& list) {
  for (const Value& one : list.elements()) {
    if (one.as_string() == "*") return true;
  }
  return false;
}

// A list that is not empty, and of which "*" is the only element when it is one.
bool wild_or_named(const Value& list, std::string_view missing, std::string_view what,
                   const Path& path, ErrorList& errors) {
  if (list.empty()) {
    errors.required(path, missing);
    return false;
  }
  if (!has_wildcard(list)) return true;
  if (list.size() > 1) {
    errors.invalid(path, list, fmt::format("if '*' is present, must not specify other {}", what));
  }
  return false;
}

void verbs(const Value& list, const Path& path, ErrorList& errors) {
  if (!wild_or_named(list, "verbs must contain at least one value", "verbs", path, errors)) return;
  for (const Value& verb : list.elements()) {
    if (contains({"create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update",
                  "watch"},
                 verb.as_string())) {
      continue;
    }
    errors.not_supported(path, list,
                         {"create", "delete", "deletecollection", "get", "list", "patch", "proxy",
                          "update", "watch"});
    return;
  }
}

void url_path(std::string_view text, const Path& path, ErrorList& errors) {
  auto wrong = [&](std::string_view detail) { errors.invalid(path, text, detail); };
  if (text.empty()) return wrong("must not be empty");
  if (text == "/") return;
  if (text[0] != '/') return wrong("must start with slash");
  if (text.find(' ') != std::string_view::npos) return wrong("must not contain white-space");
  if (text.find("//") != std::string_view::npos) return wrong("must not contain double slash");
  auto stars = std::count(text.begin(), text.end(), '*');
  if (stars > 1 || (stars == 1 && text.substr(text.size() - 2) != "/*")) {
    wrong("wildcard can only do suffix matching");
  }
}

void resource_rule(const Value& rule, const Path& path, ErrorList& errors) {
  verbs(rule["verbs"], path / "verbs", errors);
  wild_or_named(rule["apiGroups"], "resource rules must supply at least one api group",
                "api groups", path / "apiGroups", errors);
  wild_or_named(rule["resources"], "resource rules must supply at least one resource", "resources",
                path / "resources", errors);
  const Value& namespaces = rule["namespaces"];
  if (namespaces.empty() && rule["clusterScope"].as_bool()) return;
  if (!wild_or_named(
          namespaces,
          "resource rules that are not cluster scoped must supply at least one namespace",
          "namespaces", path / "namespaces", errors)) {
    return;
  }
  size_t i = 0;
  for (const Value& ns : namespaces.elements()) {
    Path at = (path / "namespaces")[i++];
    for (const std::string& problem : check_dns1123_label(ns.as_string())) {
      errors.invalid(at, ns,
                     "each member of this list must be '*' or a DNS-1123 label; " + problem);
    }
  }
}

void url_rule(const Value& rule, const Path& path, ErrorList& errors) {
  verbs(rule["verbs"], path / "verbs", errors);
  Path at = path / "nonResourceURLs";
  if (!wild_or_named(rule["nonResourceURLs"], "nonResourceURLs must contain at least one value",
                     "non-resource URLs", at, errors)) {
    return;
  }
  size_t i = 0;
  for (const Value& url : rule["nonResourceURLs"].elements()) {
    url_path(url.as_string(), at[i++], errors);
  }
}

void account(const Value& subject, const Path& path, ErrorList& errors) {
  std::string_view name = subject["name"].as_string();
  if (name.empty()) {
    errors.required(path / "name");
  } else if (name != "*") {
    dns_subdomain(subject["name"], path / "name", errors);
  }
  if (subject["namespace"].as_string().empty()) {
    errors.required(path / "namespace", "must specify namespace for service account");
  } else {
    dns_label(subject["namespace"], path / "namespace", errors);
  }
}

void subject(const Value& subject, const Path& path, ErrorList& errors) {
  struct Form {
    std::string_view kind;
    const char* member;
  };
  constexpr Form kForms[] = {
      {"ServiceAccount", "serviceAccount"}, {"User", "user"}, {"Group", "group"}};
  std::string_view kind = subject["kind"].as_string();
  if (!contains({"ServiceAccount", "User", "Group"}, kind)) {
    errors.not_supported(path / "kind", kind, {"Group", "ServiceAccount", "User"});
    return;
  }
  for (const Form& form : kForms) {
    const Value& value = subject[form.member];
    if (form.kind != kind) continue;
    if (value.is_null()) {
      errors.required(path / form.member,
                      fmt::format("{} is required when subject kind is '{}'", form.member, kind));
    } else if (form.kind == "ServiceAccount") {
      account(value, path / form.member, errors);
    } else if (value["name"].as_string().empty()) {
      errors.required(path / form.member / "name");
    }
  }
  for (const Form& form : kForms) {
    if (form.kind == kind || subject[form.member].is_null()) continue;
    errors.forbidden(
        path / form.member,
        fmt::format("{} is forbidden when subject kind is not '{}'", form.member, form.kind));
  }
}

void policy_rules_of(const Value& rule, const Path& path, ErrorList& errors) {
  size_t i = 0;
  for (const Value& one : rule["subjects"].elements()) {
    subject(one, (path / "subjects")[i++], errors);
  }
  if (i == 0) errors.required(path / "subjects", "subjects must contain at least one value");
  if (rule["resourceRules"].empty() && rule["nonResourceRules"].empty()) {
    errors.required(path, "at least one of resourceRules and nonResourceRules has to be non-empty");
  }
  i = 0;
  for (const Value& one : rule["resourceRules"].elements()) {
    resource_rule(one, (path / "resourceRules")[i++], errors);
  }
  i = 0;
  for (const Value& one : rule["nonResourceRules"].elements()) {
    url_rule(one, (path / "nonResourceRules")[i++], errors);
  }
}

// How many bits the hash must have for dealing `hand` cards from a deck of `queues`.
int entropy_bits(int64_t queues, int64_t hand) {
  return static_cast<int>(
      std::ceil(std::log2(static_cast<double>(queues)) * static_cast<double>(hand)));
}

void queuing(const Value& queuing, const Path& path, ErrorList& errors) {
  constexpr int64_t kMaxQueues = 10'000'000;
  constexpr int kMaxBits = 60;
  int64_t queues = queuing["queues"].as_int();
  int64_t hand = queuing["handSize"].as_int();
  int64_t length = queuing["queueLengthLimit"].as_int();
  if (length <= 0) errors.invalid(path / "queueLengthLimit", length, "must be positive");
  if (queues <= 0) {
    errors.invalid(path / "queues", queues, "must be positive");
  } else if (queues > kMaxQueues) {
    errors.invalid(path / "queues", queues, fmt::format("must not be greater than {}", kMaxQueues));
  }
  if (hand <= 0) {
    errors.invalid(path / "handSize", hand, "must be positive");
  } else if (hand > queues) {
    errors.invalid(path / "handSize", hand,
                   fmt::format("should not be greater than queues ({})", queues));
  } else if (entropy_bits(queues, hand) > kMaxBits) {
    errors.invalid(path / "handSize", hand,
                   fmt::format("required entropy bits of deckSize {} and handSize {} should not be "
                               "greater than {}",
                               queues, hand, kMaxBits));
  }
}

void limit_response(const Value& response, const Path& path, ErrorList& errors) {
  std::string_view type = response["type"].as_string();
  const Value& queues = response["queuing"];
  if (type == "Reject") {
    if (!queues.is_null()) {
      errors.forbidden(path / "queuing",
                       "must be nil if limited.limitResponse.type is not Limited");
    }
  } else if (type != "Queue") {
    errors.not_supported(path / "type", type, {"Queue", "Reject"});
  } else if (queues.is_null()) {
    errors.required(path / "queuing", "must not be empty if limited.limitResponse.type is Limited");
  } else {
    queuing(queues, path / "queuing", errors);
  }
}

void shares(const Value& level, const Path& path, ErrorList& errors) {
  const Value& value = level["nominalConcurrencyShares"];
  if (value.as_int() < 0) {
    errors.invalid(path / "nominalConcurrencyShares", value, "must be a non-negative integer");
  }
}

void lendable(const Value& level, const Path& path, ErrorList& errors) {
  const Value& percent = level["lendablePercent"];
  if (percent.as_int() < 0 || percent.as_int() > 100) {
    errors.invalid(path / "lendablePercent", percent, "must be between 0 and 100, inclusive");
  }
}

void limited(const Value& level, const Path& path, ErrorList& errors) {
  shares(level, path, errors);
  limit_response(level["limitResponse"], path / "limitResponse", errors);
  lendable(level, path, errors);
  const Value& borrowing = level["borrowingLimitPercent"];
  if (borrowing.as_int() < 0) {
    errors.invalid(path / "borrowingLimitPercent", borrowing,
                   "if specified, must be a non-negative integer");
  }
}

}  // namespace

void flow_schema(const Value& object, ErrorList& errors) {
  const Value& spec = object["spec"];
  Path path("spec");
  int64_t precedence = spec["matchingPrecedence"].as_int();
  auto wrong = [&](std::string_view detail) {
    errors.invalid(path / "matchingPrecedence", precedence, detail);
  };
  if (precedence <= 0) wrong("must be a positive value");
  if (precedence > 10000) wrong("must not be greater than 10000");
  if (precedence == 1 && object["metadata"]["name"].as_string() != "exempt") {
    wrong("only the schema named 'exempt' may have matchingPrecedence 1");
  }
  const Value& method = spec["distinguisherMethod"];
  if (!method.is_null() && !contains({"ByNamespace", "ByUser"}, method["type"].as_string())) {
    errors.not_supported(path / "distinguisherMethod" / "type",
                         internal_value(kGroup, "v1", "FlowDistinguisherMethod", method),
                         {"ByNamespace", "ByUser"});
  }
  const Value& level = spec["priorityLevelConfiguration"]["name"];
  Path at = path / "priorityLevelConfiguration" / "name";
  if (level.as_string().empty()) {
    errors.required(at, "must reference a priority level");
  } else {
    dns_subdomain(level, at, errors);
  }
  size_t i = 0;
  for (const Value& rule : spec["rules"].elements()) {
    policy_rules_of(rule, (path / "rules")[i++], errors);
  }
  flow_status(object, object, errors);
}

void priority_level(const Value& object, ErrorList& errors) {
  constexpr const char* kPreserve = "flowcontrol.k8s.io/v1beta3-preserve-zero-concurrency-shares";
  if (object["metadata"]["annotations"].has(kPreserve)) {
    errors.forbidden(Path("metadata") / "annotations",
                     fmt::format("annotation '{}' is forbidden", kPreserve));
  }
  const Value& spec = object["spec"];
  Path path("spec");
  std::string_view type = spec["type"].as_string();
  if ((object["metadata"]["name"].as_string() == "exempt") != (type == "Exempt")) {
    errors.invalid(path / "type", type, "must be 'Exempt' if and only if `name` is 'exempt'");
  }
  if (type == "Limited") {
    if (!spec["exempt"].is_null()) {
      errors.forbidden(path / "exempt", "must be nil if the type is Limited");
    }
    if (spec["limited"].is_null()) {
      errors.required(path / "limited", "must not be empty when type is Limited");
    } else {
      limited(spec["limited"], path / "limited", errors);
    }
  } else if (type == "Exempt") {
    if (!spec["limited"].is_null()) {
      errors.forbidden(path / "limited", "must be nil if the type is not Limited");
    }
    shares(spec["exempt"], path / "exempt", errors);
    lendable(spec["exempt"], path / "exempt", errors);
  } else {
    errors.not_supported(path / "type", type, {"Exempt", "Limited"});
  }
  flow_status(object, object, errors);
}

void flow_status(const Value& object, const Value&, ErrorList& errors) {
  Path path = Path("status") / "conditions";
  std::set<std::string_view> types;
  size_t i = 0;
  for (const Value& condition : object["status"]["conditions"].elements()) {
    Path at = path[i++] / "type";
    std::string_view type = condition["type"].as_string();
    if (!types.insert(type).second) errors.duplicate(at, type);
    if (type.empty()) errors.required(at);
  }
}

}  // namespace knarr::api::rules
