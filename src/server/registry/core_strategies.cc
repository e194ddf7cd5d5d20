// Namespaces, nodes, volumes, claims, and the small kinds of other groups that have a step of their
// own.

#include "server/registry/strategies.h"

namespace knarr::server {
namespace {

using json::Value;

class NamespaceStrategy final : public Strategy {
 public:
  void prepare_create(StrategyContext&, Value& now) const override {
    Value& finalizers = now.member("spec").member("finalizers");
    bool have = false;
    for (const Value& f : finalizers.elements()) have = have || f.as_string() == "kubernetes";
    if (!have) finalizers.push_back("kubernetes");
    now.set("status", Value::object({{"phase", "Active"}}));
  }
  void prepare_update(StrategyContext&, Value& now, const Value& old) const override {
    now.member("spec").set("finalizers", old["spec"]["finalizers"]);
  }
  void prepare_subresource(StrategyContext&, std::string_view, Value& now,
                           const Value& old) const override {
    if (old.has("status")) now.set("status", old["status"]);
  }
};

class NodeStrategy final : public Strategy {
 public:
  NodeStrategy() : Strategy({.keeps_status = true}) {}
  // The kubelet takes no configuration from the API any more.
  void prepare_create(StrategyContext&, Value& now) const override {
    now.member("spec").erase("configSource");
    if (Value* status = now.find("status")) status->erase("config");
  }
  void prepare_update(StrategyContext&, Value& now, const Value& old) const override {
    if (!old["spec"].has("configSource")) now.member("spec").erase("configSource");
  }
  void prepare_status(StrategyContext&, Value& now, const Value& old) const override {
    if (!old["status"].has("config")) now.member("status").erase("config");
  }
};

class VolumeStrategy final : public Strategy {
 public:
  VolumeStrategy() : Strategy({.returns_deleted = true}) {}
  void prepare_create(StrategyContext& ctx, Value& now) const override {
    now.set("status", Value::object({{"phase", "Pending"}, {"lastPhaseTransitionTime", ctx.now}}));
  }
  void prepare_status(StrategyContext& ctx, Value& now, const Value& old) const override {
    Value& status = now.member("status");
    if (!(status["phase"] == old["status"]["phase"])) {
      if (status["lastPhaseTransitionTime"] == old["status"]["lastPhaseTransitionTime"]) {
        status.set("lastPhaseTransitionTime", ctx.now);
      }
    } else if (old["status"].has("lastPhaseTransitionTime")) {
      status.set("lastPhaseTransitionTime", old["status"]["lastPhaseTransitionTime"]);
    }
  }
};

class ClaimStrategy final : public Strategy {
 public:
  ClaimStrategy() : Strategy({.returns_deleted = true}) {}
  void prepare_create(StrategyContext&, Value& now) const override {
    now.set("status", Value::object({{"phase", "Pending"}}));
  }
};

class SigningRequestStrategy final : public Strategy {
 public:
  void prepare_create(StrategyContext& ctx, Value& now) const override {
    Value& spec = now.member("spec");
    for (const char* key : {"username", "uid", "groups", "extra"}) spec.erase(key);
    const UserInfo* user = ctx.request.user.get();
    if (user == nullptr) return;
    spec.set("username", user->name);
    if (!user->uid.empty()) spec.set("uid", user->uid);
    for (const std::string& group : user->groups) spec.member("groups").push_back(group);
    for (const auto& [key, values] : user->extra) {
      Value& list = spec.member("extra").member(key);
      for (const std::string& v : values) list.push_back(v);
    }
  }
  void prepare_update(StrategyContext&, Value& now, const Value& old) const override {
    now.set("spec", old["spec"]);
  }
  // A status write may set the certificate; an approval only the two verdicts.
  void prepare_status(StrategyContext& ctx, Value& now, const Value& old) const override {
    Value kept = Value::array();
    for (const Value& c : old["status"]["conditions"].elements()) {
      if (is_verdict(c)) kept.push_back(c);
    }
    for (const Value& c : now["status"]["conditions"].elements()) {
      if (!is_verdict(c)) kept.push_back(c);
    }
    if (!kept.empty()) now.member("status").set("conditions", std::move(kept));
    stamp(ctx, now, old);
  }
  void prepare_subresource(StrategyContext& ctx, std::string_view, Value& now,
                           const Value& old) const override {
    Value conditions = now["status"]["conditions"];
    now.set("spec", old["spec"]);
    now.set("status", old["status"].is_null() ? Value::object() : old["status"]);
    if (conditions.empty()) {
      now.member("status").erase("conditions");
    } else {
      now.member("status").set("conditions", std::move(conditions));
    }
    stamp(ctx, now, old);
  }

 private:
  static bool is_verdict(const Value& condition) {
    std::string_view type = condition["type"].as_string();
    return type == "Approved" || type == "Denied";
  }
  static void stamp(StrategyContext& ctx, Value& now, const Value& old) {
    Value* conditions = now.member("status").find("conditions");
    if (conditions == nullptr) return;
    for (Value& c : conditions->elements()) {
      if (c["lastUpdateTime"].is_null()) c.set("lastUpdateTime", ctx.now);
      if (!c["lastTransitionTime"].is_null()) continue;
      c.set("lastTransitionTime", ctx.now);
      for (const Value& o : old["status"]["conditions"].elements()) {
        if (o["type"] == c["type"] && o["status"] == c["status"] &&
            !o["lastTransitionTime"].is_null()) {
          c.set("lastTransitionTime", o["lastTransitionTime"]);
        }
      }
    }
  }
};

class DefinitionStrategy final : public Strategy {
 public:
  DefinitionStrategy()
      : Strategy({.generation = true, .unconditional_update = false, .metadata_of_status = false}) {
  }
  void prepare_create(StrategyContext&, Value& now) const override {
    Value stored = Value::array();
    for (const Value& version : now["spec"]["versions"].elements()) {
      if (version["storage"].as_bool()) stored.push_back(version["name"]);
    }
    now.set("status", Value::object({{"storedVersions", std::move(stored)}}));
  }
};

class ApiServiceStrategy final : public Strategy {
 public:
  ApiServiceStrategy() : Strategy({.unconditional_update = false, .metadata_of_status = false}) {}
  // What names no service is served here.
  void prepare_create(StrategyContext& ctx, Value& now) const override {
    if (!now["spec"]["service"].is_null()) return;
    Value local = Value::object({{"type", "Available"},
                                 {"status", "True"},
                                 {"lastTransitionTime", ctx.now},
                                 {"reason", "Local"},
                                 {"message", "Local APIServices are always available"}});
    now.set("status", Value::object({{"conditions", Value::array({std::move(local)})}}));
  }
};

class AttachmentStrategy final : public Strategy {
 public:
  AttachmentStrategy()
      : Strategy(
            {.unconditional_update = false, .returns_deleted = true, .metadata_of_status = false}) {
  }
  void prepare_create(StrategyContext&, Value& now) const override {
    now.set("status", Value::object({{"attached", false}}));
  }
};

// Labels count as well: controllers find their slices by them.
class SliceStrategy final : public Strategy {
 public:
  SliceStrategy() : Strategy({.generation = true}) {}
  bool changed(const Value& now, const Value& old) const override {
    return Strategy::changed(now, old) || !(now["metadata"]["labels"] == old["metadata"]["labels"]);
  }
};

class LimitRangeStrategy final : public Strategy {
 public:
  LimitRangeStrategy() : Strategy({.create_on_update = true}) {}
  void prepare_create(StrategyContext& ctx, Value& now) const override {
    Value& meta = now.member("metadata");
    if (meta["name"].as_string().empty()) meta.set("name", ctx.random.uuid());
  }
};

}  // namespace

void add_core_strategies(std::vector<StrategyRow>& rows) {
  rows.push_back({"", "namespaces", std::make_unique<NamespaceStrategy>()});
  rows.push_back({"", "limitranges", std::make_unique<LimitRangeStrategy>()});
  rows.push_back({"discovery.k8s.io", "endpointslices", std::make_unique<SliceStrategy>()});
  rows.push_back({"", "nodes", std::make_unique<NodeStrategy>()});
  rows.push_back({"", "persistentvolumes", std::make_unique<VolumeStrategy>()});
  rows.push_back({"", "persistentvolumeclaims", std::make_unique<ClaimStrategy>()});
  rows.push_back({"certificates.k8s.io", "certificatesigningrequests",
                  std::make_unique<SigningRequestStrategy>()});
  rows.push_back({"apiextensions.k8s.io", "customresourcedefinitions",
                  std::make_unique<DefinitionStrategy>()});
  rows.push_back({"apiregistration.k8s.io", "apiservices", std::make_unique<ApiServiceStrategy>()});
  rows.push_back({"storage.k8s.io", "volumeattachments", std::make_unique<AttachmentStrategy>()});
}

}  // namespace knarr::server
