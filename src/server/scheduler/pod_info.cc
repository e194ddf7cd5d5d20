#include "server/scheduler/pod_info.h"

#include <algorithm>

#include "api/view/meta.h"
#include "api/view/volume.h"

namespace knarr::server {

namespace {

PodTerm term_of(const json::Value& value, const PodInfo& pod, int64_t weight) {
  PodTerm term;
  term.selector = api::LabelMatch::of_selector(value["labelSelector"]);
  for (const char* key : {"matchLabelKeys", "mismatchLabelKeys"}) {
    for (const json::Value& name : value[key].elements()) {
      const std::string* label = api::find_label(pod.labels(), name.as_string());
      if (label == nullptr) continue;
      json::Value e = json::Value::object({{"key", name},
                                           {"operator", key[1] == 'a' ? "In" : "NotIn"},
                                           {"values", json::Value::array({*label})}});
      term.selector.add_expression(e);
    }
  }
  for (const json::Value& ns : value["namespaces"].elements()) term.namespaces.push_back(ns.text());
  term.has_namespace_selector = value["namespaceSelector"].is_object();
  if (term.has_namespace_selector) {
    term.namespace_selector = api::LabelMatch::of_selector(value["namespaceSelector"]);
  } else if (term.namespaces.empty()) {
    term.namespaces.push_back(pod.ns());
  }
  term.topology_key = value["topologyKey"].text();
  term.weight = weight;
  return term;
}

void read_terms(const json::Value& affinity, const PodInfo& pod, std::vector<PodTerm>& required,
                std::vector<PodTerm>& preferred) {
  for (const json::Value& t :
       affinity["requiredDuringSchedulingIgnoredDuringExecution"].elements()) {
    required.push_back(term_of(t, pod, 0));
  }
  for (const json::Value& t :
       affinity["preferredDuringSchedulingIgnoredDuringExecution"].elements()) {
    preferred.push_back(term_of(t["podAffinityTerm"], pod, t["weight"].as_int()));
  }
}

void read_spread(const json::Value& spec, PodInfo& pod) {
  for (const json::Value& c : spec["topologySpreadConstraints"].elements()) {
    SpreadConstraint s;
    s.topology_key = c["topologyKey"].text();
    s.max_skew = api::int_field(c, "maxSkew", 1);
    s.min_domains = api::int_field(c, "minDomains", 1);
    s.hard = c["whenUnsatisfiable"].as_string() != "ScheduleAnyway";
    s.selector = api::LabelMatch::of_selector(c["labelSelector"]);
    s.honor_affinity = c["nodeAffinityPolicy"].as_string() != "Ignore";
    s.honor_taints = c["nodeTaintsPolicy"].as_string() == "Honor";
    for (const json::Value& name : c["matchLabelKeys"].elements()) {
      const std::string* label = api::find_label(pod.labels(), name.as_string());
      if (label != nullptr) s.selector.add_equals(name.text(), *label);
    }
    pod.spread.push_back(std::move(s));
  }
}

// Node names that a required term's matchFields asks for; all terms must name some.
void read_named_nodes(const json::Value& spec, PodInfo& pod) {
  const json::Value& terms =
      spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
          ["nodeSelectorTerms"];
  std::vector<std::string> names;
  for (const json::Value& term : terms.elements()) {
    bool named = false;
    for (const json::Value& f : term["matchFields"].elements()) {
      if (f["key"].as_string() != "metadata.name" || f["operator"].as_string() != "In") continue;
      for (const json::Value& v : f["values"].elements()) names.push_back(v.text());
      named = true;
    }
    if (!named) return;
  }
  pod.names_nodes = !terms.empty();
  pod.only_nodes = std::move(names);
}

}  // namespace

PodInfo::PodInfo(const ObjectRef& ref) : object(ref) {
  json::Value value = api::decode(*ref);
  const json::Value& spec = value["spec"];
  const json::Value& status = value["status"];
  node = spec["nodeName"].text();
  nominated_node = status["nominatedNodeName"].text();
  scheduler_name = std::string(spec["schedulerName"].as_string("default-scheduler"));
  priority = spec["priority"].as_int();
  never_preempts = spec["preemptionPolicy"].as_string() == "Never";
  api::PodPhase phase = api::parse_phase(status["phase"].as_string());
  terminal = phase == api::PodPhase::kSucceeded || phase == api::PodPhase::kFailed;
  gated = !spec["schedulingGates"].empty();
  created_at = api::creation_time(value);
  started_at = api::time_field(status, "startTime");
  generation = value["metadata"]["generation"].as_int();
  requests = pod_requests(spec, false);
  floored = pod_requests(spec, true);
  for (const json::Value& c : spec["containers"].elements()) {
    images.push_back(c["image"].text());
    for (const json::Value& p : c["ports"].elements()) {
      int64_t port = p["hostPort"].as_int();
      if (port == 0) continue;
      std::string ip = p["hostIP"].text();
      ports.push_back(
          {ip.empty() ? "0.0.0.0" : ip, std::string(p["protocol"].as_string("TCP")), port});
    }
  }
  node_requirement = api::NodeRequirement(spec);
  read_named_nodes(spec, *this);
  const json::Value& affinity = spec["affinity"];
  for (const json::Value& p :
       affinity["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"].elements()) {
    preferred_nodes.push_back({api::NodeTerm(p["preference"]), p["weight"].as_int()});
  }
  tolerations = api::tolerations_of(spec);
  read_terms(affinity["podAffinity"], *this, this->affinity, preferred_affinity);
  read_terms(affinity["podAntiAffinity"], *this, anti_affinity, preferred_anti_affinity);
  read_spread(spec, *this);
  for (const json::Value& v : spec["volumes"].elements()) {
    if (v.has("persistentVolumeClaim")) {
      claims.push_back({v["persistentVolumeClaim"]["claimName"].text(), false});
    } else if (v.has("ephemeral")) {
      claims.push_back({api::ephemeral_claim_name(ref->name.name, v), true});
    }
  }
}

}  // namespace knarr::server
