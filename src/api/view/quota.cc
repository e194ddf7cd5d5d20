#include "api/view/quota.h"

#include <algorithm>
#include <array>
#include <map>

#include "api/view/meta.h"
#include "api/view/volume.h"

namespace knarr::api {

namespace {

constexpr std::string_view kRequests = "requests.";
constexpr std::string_view kLimits = "limits.";
constexpr std::string_view kHugePages = "hugepages-";
constexpr std::string_view kClassSuffix = ".storageclass.storage.k8s.io/";
// Kinds that could be limited before there was "count/".
constexpr std::array<std::string_view, 7> kOldNames{"configmaps",     "persistentvolumeclaims",
                                                    "pods",           "replicationcontrollers",
                                                    "resourcequotas", "secrets",
                                                    "services"};

bool starts(std::string_view text, std::string_view with) {
  return text.substr(0, with.size()) == with;
}

std::string count_name(std::string_view group, std::string_view plural) {
  std::string name = "count/" + std::string(plural);
  return group.empty() ? name : name + "." + std::string(group);
}

bool is_basic(std::string_view name) {
  return name == "cpu" || name == "memory" || name == "ephemeral-storage";
}

// Devices and the like: "example.com/gpu".
bool is_extended(std::string_view name) {
  return name.find('/') != std::string_view::npos &&
         name.find("kubernetes.io/") == std::string_view::npos;
}

bool is_pod_resource(std::string_view name) {
  if (is_basic(name) || starts(name, kHugePages)) return true;
  if (starts(name, kLimits)) return is_basic(name.substr(kLimits.size()));
  if (!starts(name, kRequests)) return false;
  name.remove_prefix(kRequests.size());
  return is_basic(name) || starts(name, kHugePages) || is_extended(name);
}

bool pod_counts(const json::Value& pod, int64_t now_us) {
  std::string_view phase = pod["status"]["phase"].as_string();
  if (phase == "Succeeded" || phase == "Failed") return false;
  int64_t deleted = time_field(pod["metadata"], "deletionTimestamp");
  const json::Value& grace = pod["metadata"]["deletionGracePeriodSeconds"];
  return deleted == 0 || grace.is_null() || now_us <= deleted + grace.as_int() * 1000000;
}

void add_pod(Quantities& usage, const json::Value& pod, int64_t now_us) {
  if (!pod_counts(pod, now_us)) return;
  usage["pods"] = Quantity(1);
  PodResources r = pod_resources(pod["spec"]);
  for (const auto& [name, amount] : r.requests) {
    if (is_basic(name) || starts(name, kHugePages)) usage[name] = amount;
    usage[std::string(kRequests) + name] = amount;
  }
  for (const auto& [name, amount] : r.limits) {
    if (is_basic(name)) usage[std::string(kLimits) + name] = amount;
  }
}

void add_service(Quantities& usage, const json::Value& spec) {
  int64_t ports = static_cast<int64_t>(spec["ports"].size());
  std::string_view type = spec["type"].as_string();
  bool balanced = type == "LoadBalancer";
  int64_t node_ports = balanced || type == "NodePort" ? ports : 0;
  if (balanced && !spec["allocateLoadBalancerNodePorts"].as_bool(true)) {
    node_ports = 0;
    for (const json::Value& p : spec["ports"].elements()) node_ports += p["nodePort"].as_int() != 0;
  }
  usage["services"] = Quantity(1);
  usage["services.nodeports"] = Quantity(node_ports);
  usage["services.loadbalancers"] = Quantity(balanced ? 1 : 0);
}

void add_claim(Quantities& usage, const json::Value& claim) {
  Quantity size = quantity_or_zero(claim["spec"]["resources"]["requests"]["storage"].as_string());
  Quantity given = quantity_or_zero(claim["status"]["allocatedResources"]["storage"].as_string());
  if (size < given) size = given;
  if (!size.is_integer()) size = Quantity(size.value(), size.format());
  usage["persistentvolumeclaims"] = Quantity(1);
  usage["requests.storage"] = size;
  std::string storage_class = storage_class_of(claim);
  if (storage_class.empty()) return;
  usage[storage_class + std::string(kClassSuffix) + "persistentvolumeclaims"] = Quantity(1);
  usage[storage_class + std::string(kClassSuffix) + "requests.storage"] = size;
}

bool crosses_namespaces(const json::Value& affinity) {
  bool crosses = false;
  auto look = [&](const json::Value& term) {
    crosses |= !term["namespaces"].empty() || !term["namespaceSelector"].is_null();
  };
  for (const char* kind : {"podAffinity", "podAntiAffinity"}) {
    const json::Value& terms = affinity[kind];
    for (const json::Value& t :
         terms["requiredDuringSchedulingIgnoredDuringExecution"].elements()) {
      look(t);
    }
    for (const json::Value& t :
         terms["preferredDuringSchedulingIgnoredDuringExecution"].elements()) {
      look(t["podAffinityTerm"]);
    }
  }
  return crosses;
}

// A scope selector over names of which any may be meant.
bool any_named(const json::Value& term, const std::set<std::string>& names) {
  std::string_view op = term["operator"].as_string();
  if (op == "Exists") return !names.empty();
  if (op == "DoesNotExist") return names.empty();
  bool found = false;
  for (const json::Value& v : term["values"].elements()) found |= names.count(v.text()) != 0;
  return op == "NotIn" ? !found : op == "In" && found;
}

bool pod_in_scope(const json::Value& term, const json::Value& pod) {
  std::string_view scope = term["scopeName"].as_string();
  const json::Value& spec = pod["spec"];
  bool ends = spec["activeDeadlineSeconds"].is_integer();
  bool best_effort = pod["status"]["qosClass"].as_string() == "BestEffort";
  if (scope == "Terminating") return ends;
  if (scope == "NotTerminating") return !ends;
  if (scope == "BestEffort") return best_effort;
  if (scope == "NotBestEffort") return !best_effort;
  if (scope == "CrossNamespacePodAffinity") return crosses_namespaces(spec["affinity"]);
  if (scope != "PriorityClass") return false;
  std::set<std::string> names;
  if (std::string name = spec["priorityClassName"].text(); !name.empty()) names.insert(name);
  return any_named(term, names);
}

bool claim_in_scope(const json::Value& term, const json::Value& claim) {
  if (term["scopeName"].as_string() != "VolumeAttributesClass") return false;
  std::set<std::string> names;
  for (const json::Value* name :
       {&claim["spec"]["volumeAttributesClassName"],
        &claim["status"]["currentVolumeAttributesClassName"],
        &claim["status"]["modifyVolumeStatus"]["targetVolumeAttributesClassName"]}) {
    if (!name->as_string().empty()) names.insert(name->text());
  }
  return any_named(term, names);
}

bool in_scope(const json::Value& term, const QuotaSubject& subject) {
  if (!subject.group.empty()) return false;
  if (subject.plural == "pods") return pod_in_scope(term, subject.object);
  return subject.plural == "persistentvolumeclaims" && claim_in_scope(term, subject.object);
}

}  // namespace

Quantities quota_usage(const QuotaSubject& subject) {
  Quantities usage;
  usage[count_name(subject.group, subject.plural)] = Quantity(1);
  if (!subject.group.empty()) return usage;
  if (subject.plural == "pods") {
    add_pod(usage, subject.object, subject.now_us);
  } else if (subject.plural == "services") {
    add_service(usage, subject.object["spec"]);
  } else if (subject.plural == "persistentvolumeclaims") {
    add_claim(usage, subject.object);
  } else if (std::find(kOldNames.begin(), kOldNames.end(), subject.plural) != kOldNames.end()) {
    usage[std::string(subject.plural)] = Quantity(1);
  }
  return usage;
}

std::vector<std::string> quota_names_for(std::string_view group, std::string_view plural,
                                         const json::Value& hard) {
  std::vector<std::string> names;
  std::string count = count_name(group, plural);
  bool old =
      group.empty() && std::find(kOldNames.begin(), kOldNames.end(), plural) != kOldNames.end();
  for (auto [name, amount] : hard.members()) {
    bool mine = name == count || (old && name == plural);
    if (group.empty() && plural == "pods") mine |= is_pod_resource(name);
    if (group.empty() && plural == "services") {
      mine |= name == "services.nodeports" || name == "services.loadbalancers";
    }
    if (group.empty() && plural == "persistentvolumeclaims") {
      mine |= name == "requests.storage" || name.find(kClassSuffix) != std::string_view::npos;
    }
    if (mine) names.emplace_back(name);
  }
  return names;
}

bool in_quota_scopes(const json::Value& spec, const QuotaSubject& subject) {
  for (const json::Value& scope : spec["scopes"].elements()) {
    json::Value term = json::Value::object({{"scopeName", scope}, {"operator", "Exists"}});
    if (!in_scope(term, subject)) return false;
  }
  for (const json::Value& term : spec["scopeSelector"]["matchExpressions"].elements()) {
    if (!in_scope(term, subject)) return false;
  }
  return true;
}

bool frees_quota(const QuotaSubject& before, const QuotaSubject& after) {
  Quantities was = quota_usage(before), is = quota_usage(after);
  for (const auto& [name, amount] : was) {
    auto it = is.find(name);
    if (it == is.end() ? !amount.is_zero() : it->second < amount) return true;
  }
  return false;
}

std::string quota_unspecified(const json::Value& spec, const std::vector<std::string>& names) {
  std::map<std::string, std::set<std::string>> missing;
  auto look = [&](const json::Value& container) {
    for (const std::string& name : names) {
      bool limit = starts(name, kLimits);
      std::string plain = name;
      if (limit) plain = name.substr(kLimits.size());
      if (starts(name, kRequests)) plain = name.substr(kRequests.size());
      if (plain != "cpu" && plain != "memory") continue;
      const char* list = limit ? "limits" : "requests";
      if (container["resources"][list].has(plain) || spec["resources"][list].has(plain)) continue;
      missing[name].insert(container["name"].text());
    }
  };
  for (const json::Value& c : spec["containers"].elements()) look(c);
  for (const json::Value& c : spec["initContainers"].elements()) look(c);
  std::string text;
  for (const auto& [name, containers] : missing) {
    text += (text.empty() ? "must specify " : "; ") + name + " for: ";
    bool first = true;
    for (const std::string& c : containers) {
      if (!first) text += ",";
      text += c;
      first = false;
    }
  }
  return text;
}

}  // namespace knarr::api
