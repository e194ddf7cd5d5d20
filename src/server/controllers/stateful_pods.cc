// The pure half of StatefulSets: names, pods, claims, and the next step.
#include <algorithm>
#include <charconv>

#include "api/view/meta.h"
#include "server/controllers/stateful_set.h"

namespace knarr::server {

int64_t ordinal_of(const std::string& pod_name, const std::string& set_name) {
  if (pod_name.size() <= set_name.size() + 1 || !pod_name.starts_with(set_name) ||
      pod_name[set_name.size()] != '-') {
    return -1;
  }
  const char* begin = pod_name.data() + set_name.size() + 1;
  const char* end = pod_name.data() + pod_name.size();
  int64_t ordinal = -1;
  auto [stop, error] = std::from_chars(begin, end, ordinal);
  return error == std::errc() && stop == end && *begin != '-' ? ordinal : -1;
}

std::vector<json::Value> stateful_claims(const json::Value& set, int64_t ordinal) {
  std::vector<json::Value> claims;
  const json::Value& meta = set["metadata"];
  const json::Value& policy = set["spec"]["persistentVolumeClaimRetentionPolicy"];
  for (const json::Value& from : set["spec"]["volumeClaimTemplates"].elements()) {
    json::Value claim = from;
    claim.erase("status");
    claim.set("apiVersion", "v1").set("kind", "PersistentVolumeClaim");
    json::Value& claim_meta = claim.member("metadata");
    claim_meta.set("name", from["metadata"]["name"].text() + "-" + meta["name"].text() + "-" +
                               std::to_string(ordinal));
    claim_meta.set("namespace", meta["namespace"]);
    for (auto [key, value] : set["spec"]["selector"]["matchLabels"].members()) {
      claim_meta.member("labels").set(key, value);
    }
    if (policy["whenDeleted"].as_string() == "Delete") {
      claim_meta.set("ownerReferences", json::Value::array({api::controller_reference(set)}));
    }
    claims.push_back(std::move(claim));
  }
  return claims;
}

json::Value stateful_pod(const json::Value& set, const json::Value& pod_template,
                         const std::string& revision_name, int64_t ordinal) {
  std::string set_name = set["metadata"]["name"].text();
  std::string name = set_name + "-" + std::to_string(ordinal);
  json::Value pod = pod_of_template(pod_template, set, set_name);
  json::Value& meta = pod.member("metadata");
  meta.erase("generateName");
  meta.set("name", name);
  meta.set("generateName", set_name + "-");
  json::Value& labels = meta.member("labels");
  labels.set("apps.kubernetes.io/pod-index", std::to_string(ordinal));
  labels.set("controller-revision-hash", revision_name);
  labels.set("statefulset.kubernetes.io/pod-name", name);
  json::Value& spec = pod.member("spec");
  spec.set("hostname", name);
  if (const json::Value& service = set["spec"]["serviceName"]; !service.as_string().empty()) {
    spec.set("subdomain", service);
  }
  // Claim volumes come before the template's, and replace those of the same name.
  json::Value volumes = json::Value::array();
  std::vector<json::Value> claims = stateful_claims(set, ordinal);
  const json::Value& templates = set["spec"]["volumeClaimTemplates"];
  for (size_t i = 0; i < claims.size(); ++i) {
    volumes.push_back(json::Value::object(
        {{"name", templates[i]["metadata"]["name"]},
         {"persistentVolumeClaim",
          json::Value::object({{"claimName", claims[i]["metadata"]["name"]}})}}));
  }
  for (const json::Value& v : pod_template["spec"]["volumes"].elements()) {
    bool replaced = false;
    for (const json::Value& t : templates.elements()) {
      replaced |= t["metadata"]["name"] == v["name"];
    }
    if (!replaced) volumes.push_back(v);
  }
  if (!volumes.empty()) spec.set("volumes", std::move(volumes));
  return pod;
}

namespace {

// Creating and replacing what is wanted. True: the step is complete and nothing else may follow.
bool plan_wanted(const StatefulRules& rules, const std::vector<StatefulPod>& wanted,
                 StatefulPlan& plan) {
  for (const StatefulPod& pod : wanted) {
    if (!pod.exists) {
      plan.create.push_back(pod.ordinal);
      if (!rules.parallel) return true;
    } else if (pod.terminal) {
      if (!pod.terminating) plan.remove.push_back(pod.ordinal);
      if (!rules.parallel) return true;
    } else if (!rules.parallel && (pod.terminating || !pod.healthy || !pod.available)) {
      return true;
    }
  }
  return false;
}

bool plan_surplus(const StatefulRules& rules, const std::vector<StatefulPod>& wanted,
                  const std::vector<StatefulPod>& surplus, StatefulPlan& plan) {
  // The unhealthy pod with the lowest ordinal may be removed though it is not ready.
  const StatefulPod* first_unhealthy = nullptr;
  for (const auto* list : {&wanted, &surplus}) {
    for (const StatefulPod& pod : *list) {
      if (!pod.healthy && (first_unhealthy == nullptr || pod.ordinal < first_unhealthy->ordinal)) {
        first_unhealthy = &pod;
      }
    }
  }
  for (const StatefulPod& pod : surplus) {
    if (pod.terminating) {
      if (!rules.parallel) return true;
      continue;
    }
    if (!rules.parallel && (!pod.healthy || !pod.available) && first_unhealthy != &pod &&
        first_unhealthy != nullptr) {
      return true;
    }
    plan.remove.push_back(pod.ordinal);
    if (!rules.parallel) return true;
  }
  return false;
}

}  // namespace

StatefulPlan plan_stateful(const StatefulRules& rules, const std::vector<StatefulPod>& wanted,
                           const std::vector<StatefulPod>& surplus) {
  StatefulPlan plan;
  if (plan_wanted(rules, wanted, plan)) return plan;
  if (plan_surplus(rules, wanted, surplus, plan)) return plan;
  if (rules.on_delete || !plan.create.empty()) return plan;
  for (auto it = wanted.rbegin(); it != wanted.rend() && it->ordinal >= rules.partition; ++it) {
    if (!it->updated && !it->terminating && it->exists) {
      plan.remove.push_back(it->ordinal);
      return plan;
    }
    if (!it->healthy || !it->available) return plan;
  }
  return plan;
}

}  // namespace knarr::server
