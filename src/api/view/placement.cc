#include "api/view/placement.h"

#include <algorithm>
#include <charconv>

namespace knarr::api {

namespace {

std::optional<int64_t> number_of(const std::string& text) {
  int64_t n = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return {};
  return n;
}

}  // namespace

bool Toleration::tolerates(const Taint& taint) const {
  if (never || (!effect.empty() && effect != taint.effect)) return false;
  if (!key.empty() && key != taint.key) return false;
  if (exists) return true;
  if (compare == 0) return value == taint.value && !key.empty();
  auto mine = number_of(value), theirs = number_of(taint.value);
  if (!mine || !theirs) return false;
  return compare > 0 ? *theirs > *mine : *theirs < *mine;
}

std::vector<Taint> taints_of(const json::Value& node) {
  std::vector<Taint> taints;
  for (const json::Value& t : node["spec"]["taints"].elements()) {
    taints.push_back({t["key"].text(), t["value"].text(), t["effect"].text()});
  }
  return taints;
}

std::vector<Toleration> tolerations_of(const json::Value& pod_spec) {
  std::vector<Toleration> tolerations;
  for (const json::Value& v : pod_spec["tolerations"].elements()) {
    Toleration t;
    t.key = v["key"].text();
    t.value = v["value"].text();
    t.effect = v["effect"].text();
    std::string_view op = v["operator"].as_string();
    t.exists = op == "Exists";
    t.compare = op == "Gt" ? 1 : op == "Lt" ? -1 : 0;
    t.never = !op.empty() && op != "Equal" && op != "Exists" && t.compare == 0;
    if (v["tolerationSeconds"].is_integer()) t.seconds = v["tolerationSeconds"].as_int();
    tolerations.push_back(std::move(t));
  }
  return tolerations;
}

bool tolerated(const std::vector<Toleration>& tolerations, const Taint& taint) {
  return std::any_of(tolerations.begin(), tolerations.end(),
                     [&](const Toleration& t) { return t.tolerates(taint); });
}

const Taint* untolerated(const std::vector<Toleration>& tolerations,
                         const std::vector<Taint>& taints) {
  for (const Taint& taint : taints) {
    if (taint.effect != "PreferNoSchedule" && !tolerated(tolerations, taint)) return &taint;
  }
  return nullptr;
}

NodeTerm::NodeTerm(const json::Value& term)
    : labels_(LabelMatch::of_expressions(term["matchExpressions"])),
      fields_(LabelMatch::of_expressions(term["matchFields"])),
      empty_(term["matchExpressions"].empty() && term["matchFields"].empty()) {}

bool NodeTerm::matches(const std::string& node_name, const Labels& labels) const {
  if (empty_ || !labels_.matches(labels)) return false;
  return fields_.empty() || fields_.matches(Labels{{"metadata.name", node_name}});
}

NodeRequirement::NodeRequirement(const json::Value& spec)
    : NodeRequirement(of_selector(
          spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"])) {
  selector_ = LabelMatch::of_map(spec["nodeSelector"]);
}

NodeRequirement NodeRequirement::of_selector(const json::Value& node_selector) {
  NodeRequirement r;
  r.has_terms_ = node_selector.is_object();
  for (const json::Value& t : node_selector["nodeSelectorTerms"].elements()) {
    r.terms_.emplace_back(t);
  }
  return r;
}

bool NodeRequirement::matches(const std::string& node_name, const Labels& labels) const {
  if (!selector_.matches(labels)) return false;
  if (!has_terms_) return true;
  return std::any_of(terms_.begin(), terms_.end(),
                     [&](const NodeTerm& t) { return t.matches(node_name, labels); });
}

}  // namespace knarr::api
