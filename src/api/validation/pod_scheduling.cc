// Where a pod may run: affinity, tolerations, spreading.
#include <map>
#include <set>

#include "api/validation/pod.h"

namespace knarr::api::rules {
namespace {

void requirement(const Value& requirement, bool check_values, const Path& path, ErrorList& errors) {
  std::string_view op = requirement["operator"].as_string();
  const Value& values = requirement["values"];
  if (op == "In" || op == "NotIn") {
    if (values.empty()) {
      errors.required(path / "values", "must be specified when `operator` is 'In' or 'NotIn'");
    }
  } else if (op == "Exists" || op == "DoesNotExist") {
    if (!values.empty()) {
      errors.forbidden(path / "values",
                       "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    }
  } else if (op == "Gt" || op == "Lt") {
    if (values.size() != 1) {
      errors.required(path / "values",
                      "must be specified single value when `operator` is 'Lt' or 'Gt'");
    }
  } else {
    errors.invalid(path / "operator", op, "not a valid selector operator");
  }
  qualified_name(requirement["key"], path / "key", errors);
  if (!check_values) return;
  size_t i = 0;
  for (const Value& value : values.elements()) {
    errors.invalid_all((path / "values")[i++], value, check_label_value(value.as_string()));
  }
}

void field_requirement(const Value& requirement, const Path& path, ErrorList& errors) {
  std::string_view op = requirement["operator"].as_string();
  if (op != "In" && op != "NotIn") {
    errors.invalid(path / "operator", op, "not a valid selector operator");
  } else if (requirement["values"].size() != 1) {
    errors.required(path / "values",
                    "must be only one value when `operator` is 'In' or 'NotIn' for node field "
                    "selector");
  }
  std::string_view key = requirement["key"].as_string();
  if (key != "metadata.name") {
    errors.invalid(path / "key", key, "not a valid field selector key");
    return;
  }
  size_t i = 0;
  for (const Value& value : requirement["values"].elements()) {
    dns_subdomain(value, (path / "values")[i++], errors);
  }
}

void label_keys(const Value& keys, const Value& selector, const Path& path, ErrorList& errors) {
  if (keys.empty()) return;
  if (selector.is_null()) {
    return errors.forbidden(path, "must not be specified when labelSelector is not set");
  }
  size_t i = 0;
  for (const Value& key : keys.elements()) qualified_name(key, path[i++], errors);
}

// By now the keys of a pod stand in its selector, too.
void match_label_keys(const Value& term, const Path& path, ErrorList& errors) {
  const Value& match = term["matchLabelKeys"];
  const Value& mismatch = term["mismatchLabelKeys"];
  const Value& selector = term["labelSelector"];
  label_keys(match, selector, path / "matchLabelKeys", errors);
  label_keys(mismatch, selector, path / "mismatchLabelKeys", errors);
  std::map<std::string_view, size_t> places;
  size_t i = 0;
  for (const Value& key : match.elements()) places[key.as_string()] = i++;
  std::set<std::string_view> selected;
  for (auto [key, value] : selector["matchLabels"].members()) selected.insert(key);
  for (const Value& expression : selector["matchExpressions"].elements()) {
    std::string_view key = expression["key"].as_string();
    auto it = places.find(key);
    if (!selected.insert(key).second && it != places.end()) {
      errors.invalid(path[it->second], key, "exists in both matchLabelKeys and labelSelector");
    }
  }
  i = 0;
  for (const Value& key : match.elements()) {
    Path at = (path / "matchLabelKeys")[i++];
    for (const Value& other : mismatch.elements()) {
      if (key != other) continue;
      errors.invalid(at, key, "exists in both matchLabelKeys and mismatchLabelKeys");
      break;
    }
  }
}

void weight(const Value& term, const Path& path, ErrorList& errors) {
  int64_t value = term["weight"].as_int();
  if (value < 1 || value > 100) {
    errors.invalid(path / "weight", value, "must be in the range 1-100");
  }
}

void pod_affinity_term(const Value& term, const Path& path, ErrorList& errors) {
  label_selector(term["labelSelector"], path / "labelSelector", errors);
  label_selector(term["namespaceSelector"], path / "namespaceSelector", errors);
  for (const Value& ns : term["namespaces"].elements()) dns_label(ns, path / "namespace", errors);
  match_label_keys(term, path, errors);
  if (term["topologyKey"].as_string().empty()) {
    errors.required(path / "topologyKey", "can not be empty");
  }
  qualified_name(term["topologyKey"], path / "topologyKey", errors);
}

void pod_affinity(const Value& affinity, const Path& path, ErrorList& errors) {
  size_t i = 0;
  Path required = path / "requiredDuringSchedulingIgnoredDuringExecution";
  for (const Value& term : affinity["requiredDuringSchedulingIgnoredDuringExecution"].elements()) {
    pod_affinity_term(term, required[i++], errors);
  }
  i = 0;
  Path preferred = path / "preferredDuringSchedulingIgnoredDuringExecution";
  for (const Value& term : affinity["preferredDuringSchedulingIgnoredDuringExecution"].elements()) {
    Path at = preferred[i++];
    weight(term, at, errors);
    pod_affinity_term(term["podAffinityTerm"], at / "podAffinityTerm", errors);
  }
}

}  // namespace

void node_selector_term(const Value& term, bool check_values, const Path& path, ErrorList& errors) {
  size_t i = 0;
  for (const Value& one : term["matchExpressions"].elements()) {
    requirement(one, check_values, (path / "matchExpressions")[i++], errors);
  }
  i = 0;
  for (const Value& one : term["matchFields"].elements()) {
    field_requirement(one, (path / "matchFields")[i++], errors);
  }
}

void node_selector(const Value& selector, const Path& path, ErrorList& errors) {
  if (selector["nodeSelectorTerms"].empty()) {
    errors.required(path / "nodeSelectorTerms", "must have at least one node selector term");
    return;
  }
  size_t i = 0;
  for (const Value& term : selector["nodeSelectorTerms"].elements()) {
    node_selector_term(term, true, (path / "nodeSelectorTerms")[i++], errors);
  }
}

void affinity(const Value& affinity, const Path& path, ErrorList& errors) {
  const Value& node = affinity["nodeAffinity"];
  if (!node.is_null()) {
    const char* kRequired = "requiredDuringSchedulingIgnoredDuringExecution";
    const char* kPreferred = "preferredDuringSchedulingIgnoredDuringExecution";
    if (!node[kRequired].is_null()) {
      node_selector(node[kRequired], path / "nodeAffinity" / kRequired, errors);
    }
    size_t i = 0;
    for (const Value& term : node[kPreferred].elements()) {
      Path at = (path / "nodeAffinity" / kPreferred)[i++];
      if (term["weight"].as_int() <= 0 || term["weight"].as_int() > 100) {
        errors.invalid(at / "weight", term["weight"].as_int(), "must be in the range 1-100");
      }
      node_selector_term(term["preference"], false, at / "preference", errors);
    }
  }
  pod_affinity(affinity["podAffinity"], path / "podAffinity", errors);
  pod_affinity(affinity["podAntiAffinity"], path / "podAntiAffinity", errors);
}

void tolerations(const Value& list, const Path& path, ErrorList& errors) {
  size_t i = 0;
  for (const Value& toleration : list.elements()) {
    Path at = path[i++];
    std::string_view key = toleration["key"].as_string();
    std::string_view op = toleration["operator"].as_string();
    std::string_view value = toleration["value"].as_string();
    std::string_view effect = toleration["effect"].as_string();
    if (!key.empty()) qualified_name(key, at / "key", errors);
    if (key.empty() && op != "Exists") {
      errors.invalid(at / "operator", op,
                     "operator must be Exists when `key` is empty, which means \"match all values "
                     "and all keys\"");
    }
    if (!toleration["tolerationSeconds"].is_null() && effect != "NoExecute") {
      errors.invalid(at / "effect", effect,
                     "effect must be 'NoExecute' when `tolerationSeconds` is set");
    }
    if (op.empty() || op == "Equal") {
      Problems problems = check_label_value(value);
      if (!problems.empty()) errors.invalid(at / "operator", value, joined(problems, ";"));
    } else if (op == "Exists") {
      if (!value.empty()) {
        errors.invalid(at / "operator", value, "value must be empty when `operator` is 'Exists'");
      }
    } else if (op == "Lt" || op == "Gt") {  // a feature that is off
      errors.not_supported(at / "operator", op, {"Equal", "Exists", "Lt", "Gt"});
    } else {
      errors.not_supported(at / "operator", op, {"Equal", "Exists"});
    }
    if (!effect.empty()) {
      maybe_one_of(effect, {"NoSchedule", "PreferNoSchedule", "NoExecute"}, at / "effect", errors);
    }
  }
}

void topology_spread(const Value& constraints, const Path& path, ErrorList& errors) {
  size_t i = 0;
  for (const Value& constraint : constraints.elements()) {
    Path at = path[i];
    if (constraint["maxSkew"].as_int() <= 0) {
      errors.invalid(at / "maxSkew", constraint["maxSkew"].as_int(), "must be greater than zero");
    }
    if (constraint["topologyKey"].as_string().empty()) {
      errors.required(at / "topologyKey", "can not be empty");
    }
    std::string_view action = constraint["whenUnsatisfiable"].as_string();
    if (!contains({"DoNotSchedule", "ScheduleAnyway"}, action)) {
      errors.not_supported(at / "whenUnsatisfiable", action, {"DoNotSchedule", "ScheduleAnyway"});
    }
    for (size_t j = i + 1; j < constraints.size(); j++) {
      const Value& other = constraints[j];
      if (other["topologyKey"] == constraint["topologyKey"] &&
          other["whenUnsatisfiable"] == constraint["whenUnsatisfiable"]) {
        errors.duplicate(at / "{topologyKey, whenUnsatisfiable}",
                         "{" + constraint["topologyKey"].text() + ", " +
                             constraint["whenUnsatisfiable"].text() + "}");
        break;
      }
    }
    const Value& domains = constraint["minDomains"];
    if (!domains.is_null()) {
      if (domains.as_int() <= 0) {
        errors.invalid(at / "minDomains", domains, "must be greater than zero");
      }
      if (action != "DoNotSchedule") {
        errors.invalid(at / "minDomains", domains,
                       "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not " +
                           std::string(action));
      }
    }
    maybe_one_of(constraint["nodeAffinityPolicy"], {"Honor", "Ignore"}, at / "nodeAffinityPolicy",
                 errors);
    maybe_one_of(constraint["nodeTaintsPolicy"], {"Honor", "Ignore"}, at / "nodeTaintsPolicy",
                 errors);
    match_label_keys(constraint, at, errors);
    label_selector(constraint["labelSelector"], at / "labelSelector", errors);
    i++;
  }
}

}  // namespace knarr::api::rules
