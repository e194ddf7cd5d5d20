// Pods: their first status, the grace of their deletion, and the subresources that change single
// corners of their spec.

#include "server/registry/new_pod.h"
#include "server/registry/qos.h"
#include "server/registry/strategies.h"

namespace knarr::server {
namespace {

// A status that comes with a new pod is looked at, though not kept.
constexpr Traits kPod{
    .generation = true, .returns_deleted = true, .graceful = true, .keeps_status = true};

json::Value* container_named(json::Value& spec, const char* list, std::string_view name) {
  json::Value* containers = spec.find(list);
  if (containers == nullptr) return nullptr;
  for (json::Value& c : containers->elements()) {
    if (c["name"].as_string() == name) return &c;
  }
  return nullptr;
}

class PodStrategy final : public Strategy {
 public:
  PodStrategy() : Strategy(kPod) {}

  // Pods of old could have less than no grace.
  void decoded(json::Value& now) const override {
    json::Value* spec = now.find("spec");
    if (spec == nullptr) return;
    json::Value* grace = spec->find("terminationGracePeriodSeconds");
    if (grace != nullptr && grace->as_int() < 0) *grace = 1;
  }

  void prepare_create(StrategyContext& ctx, json::Value& now) const override {
    std::string qos = now["status"]["qosClass"].text();
    if (qos.empty()) qos = qos_class(now["spec"]);
    json::Value status = json::Value::object({{"phase", "Pending"}, {"qosClass", qos}});
    if (!now["spec"]["schedulingGates"].empty()) {
      status.set("conditions",
                 json::Value::array({json::Value::object(
                     {{"type", "PodScheduled"},
                      {"status", "False"},
                      {"lastProbeTime", json::Value()},
                      {"lastTransitionTime", ctx.now},
                      {"reason", "SchedulingGated"},
                      {"message", "Scheduling is blocked due to non-empty scheduling gates"}})}));
    }
    now.set("status", std::move(status));
    apply_match_label_keys(now);
    apply_app_armor(now, ctx.warnings);
  }

  void prepare_status(StrategyContext&, json::Value& now, const json::Value& old) const override {
    const json::Value& owners = old["metadata"]["ownerReferences"];
    if (owners.is_null()) {
      now.member("metadata").erase("ownerReferences");
    } else {
      now.member("metadata").set("ownerReferences", owners);
    }
    if (now["status"]["qosClass"].as_string().empty() &&
        !old["status"]["qosClass"].as_string().empty()) {
      now.member("status").set("qosClass", old["status"]["qosClass"]);
    }
  }

  void prepare_subresource(StrategyContext&, std::string_view name, json::Value& now,
                           const json::Value& old) const override {
    json::Value spec = old["spec"];
    if (name == "ephemeralcontainers") {
      spec.set("ephemeralContainers", now["spec"]["ephemeralContainers"]);
    } else if (name == "resize") {
      for (const char* list : {"initContainers", "containers"}) {
        for (const json::Value& c : now["spec"][list].elements()) {
          json::Value* mine = container_named(spec, list, c["name"].as_string());
          if (mine == nullptr) continue;
          mine->set("resources", c["resources"]);
          if (c.has("resizePolicy")) mine->set("resizePolicy", c["resizePolicy"]);
        }
      }
      if (now["spec"].has("resources")) spec.set("resources", now["spec"]["resources"]);
    }
    now.set("spec", std::move(spec));
    if (old.has("status")) now.set("status", old["status"]);
  }

  int64_t grace_seconds(const json::Value& pod, std::optional<int64_t> asked) const override {
    const json::Value& own = pod["spec"]["terminationGracePeriodSeconds"];
    int64_t period = asked ? *asked : own.as_int(0);
    std::string_view phase = pod["status"]["phase"].as_string();
    if (pod["spec"]["nodeName"].as_string().empty() || phase == "Failed" || phase == "Succeeded") {
      period = 0;
    }
    return period < 0 ? 1 : period;
  }
};

}  // namespace

void add_pod_strategies(std::vector<StrategyRow>& rows) {
  rows.push_back({"", "pods", std::make_unique<PodStrategy>()});
}

}  // namespace knarr::server
