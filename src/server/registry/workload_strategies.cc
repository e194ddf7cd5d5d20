// Deployments, replica sets, stateful sets, daemon sets, replication controllers, jobs, cron jobs.

#include <charconv>

#include "server/registry/strategies.h"

namespace knarr::server {
namespace {

using json::Value;

class DeploymentStrategy final : public Strategy {
 public:
  DeploymentStrategy() : Strategy({.generation = true}) {}
  bool changed(const Value& now, const Value& old) const override {
    return Strategy::changed(now, old) ||
           !(now["metadata"]["annotations"] == old["metadata"]["annotations"]);
  }
  void prepare_status(StrategyContext&, Value& now, const Value& old) const override {
    const Value& labels = old["metadata"]["labels"];
    if (labels.is_null()) {
      now.member("metadata").erase("labels");
    } else {
      now.member("metadata").set("labels", labels);
    }
  }
};

constexpr std::string_view kTemplateGeneration = "deprecated.daemonset.template.generation";

// A field of the extensions group that lives on as an annotation: how often the template changed.
class DaemonSetStrategy final : public Strategy {
 public:
  DaemonSetStrategy() : Strategy({.generation = true}) {}
  void decoded(Value& now) const override {
    if (!now["metadata"]["annotations"].has(kTemplateGeneration)) stamp(now, 0);
  }
  void prepare_create(StrategyContext&, Value& now) const override { stamp(now, 1); }
  void prepare_update(StrategyContext&, Value& now, const Value& old) const override {
    std::string_view text = old["metadata"]["annotations"][kTemplateGeneration].as_string();
    int64_t generation = 0;
    std::from_chars(text.data(), text.data() + text.size(), generation);
    if (!(now["spec"]["template"] == old["spec"]["template"])) generation++;
    if (generation > 0) stamp(now, generation);
  }

 private:
  static void stamp(Value& now, int64_t generation) {
    now.member("metadata")
        .member("annotations")
        .set(kTemplateGeneration, std::to_string(generation));
  }
};

// A job's selector and the labels of its pods are made from its uid, unless it says manualSelector.
class JobStrategy final : public Strategy {
 public:
  JobStrategy() : Strategy({.generation = true, .gc = GcPolicy::kOrphan}) {}
  void prepare_create(StrategyContext&, Value& now) const override {
    Value& spec = now.member("spec");
    Value& meta = now.member("metadata");
    // A job without labels has those of its pods, the ones made here too.
    bool shared =
        meta["labels"].empty() || meta["labels"] == spec["template"]["metadata"]["labels"];
    if (!spec["manualSelector"].as_bool()) label(now["metadata"], spec);
    const Value& labels = spec["template"]["metadata"]["labels"];
    if (shared && !labels.empty()) meta.set("labels", labels);
  }

 private:
  static void label(const Value& meta, Value& spec) {
    Value& labels = spec.member("template").member("metadata").member("labels");
    if (labels.is_null()) labels = Value::object();
    for (const char* key : {"controller-uid", "batch.kubernetes.io/controller-uid"}) {
      labels.set(key, meta["uid"]);
    }
    for (const char* key : {"job-name", "batch.kubernetes.io/job-name"}) {
      labels.set(key, meta["name"]);
    }
    Value& match = spec.member("selector").member("matchLabels");
    if (match.is_null()) match = Value::object();
    match.set("batch.kubernetes.io/controller-uid", meta["uid"]);
  }
};

class ControllerStrategy final : public Strategy {
 public:
  ControllerStrategy() : Strategy({.generation = true, .gc = GcPolicy::kOrphan}) {}
};

}  // namespace

void add_workload_strategies(std::vector<StrategyRow>& rows) {
  constexpr Traits kGeneration{.generation = true};
  rows.push_back({"apps", "deployments", std::make_unique<DeploymentStrategy>()});
  rows.push_back({"apps", "daemonsets", std::make_unique<DaemonSetStrategy>()});
  rows.push_back({"apps", "replicasets", std::make_unique<Strategy>(kGeneration)});
  rows.push_back({"apps", "statefulsets", std::make_unique<Strategy>(kGeneration)});
  rows.push_back({"", "replicationcontrollers", std::make_unique<ControllerStrategy>()});
  rows.push_back({"batch", "jobs", std::make_unique<JobStrategy>()});
  rows.push_back({"batch", "cronjobs", std::make_unique<Strategy>(kGeneration)});
}

}  // namespace knarr::server
