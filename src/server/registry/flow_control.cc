#include "server/registry/flow_control.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/format.h"
#include "base/log.h"
#include "base/time.h"
#include "server/registry/local_client.h"

namespace knarr::server {
namespace {

using json::Value;

constexpr const char* kGroup = "flowcontrol.apiserver.k8s.io";
constexpr const char* kConsumer = "api-priority-and-fairness-config-consumer-v1";
const GroupResource kSchemas = {kGroup, "flowschemas"};
const GroupResource kLevels = {kGroup, "prioritylevelconfigurations"};

struct Level {
  std::string_view name;
  int shares;
  int lendable_percent;
  int queues;  // 0: no queue, what is too much is refused; -1: exempt
  int hand_size;
};

constexpr std::array<Level, 8> kLevelRows = {{
    {"exempt", 0, 0, -1, 0},
    {"catch-all", 5, 0, 0, 0},
    {"system", 30, 33, 64, 6},
    {"node-high", 40, 25, 64, 6},
    {"leader-election", 10, 0, 16, 4},
    {"workload-high", 40, 50, 128, 6},
    {"workload-low", 100, 90, 128, 6},
    {"global-default", 20, 50, 128, 6},
}};
constexpr int kQueueLength = 50;

// Lists are words between commas. Subjects: "group:x", "user:x", "account:x" (of kube-system).
struct Schema {
  std::string_view name;
  std::string_view level;
  int precedence;
  std::string_view distinguisher;
  std::string_view subjects;
  std::string_view verbs;
  std::string_view groups;  // of resources; empty: no rule for resources
  std::string_view resources;
  std::string_view urls;  // empty: no rule for paths
};

constexpr std::string_view kEveryone = "group:system:unauthenticated,group:system:authenticated";
constexpr std::array<Schema, 13> kSchemaRows = {{
    {"exempt", "exempt", 1, "", "group:system:masters", "*", "*", "*", "*"},
    {"catch-all", "catch-all", 10000, "ByUser", kEveryone, "*", "*", "*", "*"},
    {"probes", "exempt", 2, "", kEveryone, "get", "", "", "/healthz,/readyz,/livez"},
    {"system-nodes", "system", 500, "ByUser", "group:system:nodes", "*", "*", "*", "*"},
    {"system-node-high", "node-high", 400, "ByUser", "group:system:nodes", "*",
     ",coordination.k8s.io", "nodes,nodes/status;leases", ""},
    {"system-leader-election", "leader-election", 100, "ByUser",
     "user:system:kube-controller-manager,user:system:kube-scheduler", "get,create,update",
     "coordination.k8s.io", "leases", ""},
    {"workload-leader-election", "leader-election", 200, "ByUser", "account:*", "get,create,update",
     "coordination.k8s.io", "leases", ""},
    {"endpoint-controller", "workload-high", 150, "ByUser",
     "user:system:kube-controller-manager,account:endpoint-controller,"
     "account:endpointslicemirroring-controller",
     "get,create,update", "", "endpoints", ""},
    {"kube-controller-manager", "workload-high", 800, "ByNamespace",
     "user:system:kube-controller-manager", "*", "*", "*", "*"},
    {"kube-scheduler", "workload-high", 800, "ByNamespace", "user:system:kube-scheduler", "*", "*",
     "*", "*"},
    {"kube-system-service-accounts", "workload-high", 900, "ByNamespace", "account:*", "*", "*",
     "*", "*"},
    {"service-accounts", "workload-low", 9000, "ByUser", "group:system:serviceaccounts", "*", "*",
     "*", "*"},
    {"global-default", "global-default", 9900, "ByUser", kEveryone, "*", "*", "*", "*"},
}};

template <typename Fn>
void each_word(std::string_view list, char by, Fn fn) {
  while (true) {
    size_t at = list.find(by);
    fn(list.substr(0, at));
    if (at == std::string_view::npos) return;
    list.remove_prefix(at + 1);
  }
}

Value words(std::string_view list) {
  Value out = Value::array();
  each_word(list, ',', [&](std::string_view word) { out.push_back(word); });
  return out;
}

Value head(std::string_view kind, std::string_view name) {
  Value notes = Value::object({{"apf.kubernetes.io/autoupdate-spec", "true"}});
  Value meta = Value::object({{"name", name}, {"annotations", std::move(notes)}});
  return Value::object(
      {{"kind", kind}, {"apiVersion", std::string(kGroup) + "/v1"}, {"metadata", std::move(meta)}});
}

Value level_object(const Level& level) {
  Value shares = Value::object(
      {{"nominalConcurrencyShares", level.shares}, {"lendablePercent", level.lendable_percent}});
  Value spec = Value::object();
  if (level.queues < 0) {
    spec.set("type", "Exempt");
    spec.set("exempt", std::move(shares));
  } else {
    Value response = Value::object({{"type", level.queues == 0 ? "Reject" : "Queue"}});
    if (level.queues > 0) {
      response.set("queuing", Value::object({{"queues", level.queues},
                                             {"handSize", level.hand_size},
                                             {"queueLengthLimit", kQueueLength}}));
    }
    shares.set("limitResponse", std::move(response));
    spec.set("type", "Limited");
    spec.set("limited", std::move(shares));
  }
  Value object = head("PriorityLevelConfiguration", level.name);
  object.set("spec", std::move(spec));
  return object;
}

Value subject_of(std::string_view text) {
  std::string_view kind = text.substr(0, text.find(':'));
  std::string_view name = text.substr(text.find(':') + 1);
  Value named = Value::object({{"name", name}});
  if (kind == "group") return Value::object({{"kind", "Group"}, {"group", std::move(named)}});
  if (kind == "user") return Value::object({{"kind", "User"}, {"user", std::move(named)}});
  named.set("namespace", "kube-system");
  return Value::object({{"kind", "ServiceAccount"}, {"serviceAccount", std::move(named)}});
}

Value resource_rules(const Schema& schema) {
  Value out = Value::array();
  if (schema.resources.empty()) return out;
  std::vector<std::string_view> groups;
  each_word(schema.groups, ',', [&](std::string_view group) { groups.push_back(group); });
  size_t at = 0;
  each_word(schema.resources, ';', [&](std::string_view resources) {
    std::string_view group = groups[std::min(at++, groups.size() - 1)];
    Value rule = Value::object({{"verbs", words(schema.verbs)},
                                {"apiGroups", Value::array({Value(group)})},
                                {"resources", words(resources)},
                                {"namespaces", Value::array({"*"})}});
    if (resources == "*" || resources.starts_with("nodes")) rule.set("clusterScope", true);
    out.push_back(std::move(rule));
  });
  return out;
}

Value schema_object(const Schema& schema) {
  Value subjects = Value::array();
  each_word(schema.subjects, ',', [&](std::string_view s) { subjects.push_back(subject_of(s)); });
  Value rule = Value::object({{"subjects", std::move(subjects)}});
  if (Value rules = resource_rules(schema); !rules.empty()) {
    rule.set("resourceRules", std::move(rules));
  }
  if (!schema.urls.empty()) {
    rule.set("nonResourceRules",
             Value::array({Value::object(
                 {{"verbs", words(schema.verbs)}, {"nonResourceURLs", words(schema.urls)}})}));
  }
  Value spec =
      Value::object({{"matchingPrecedence", schema.precedence},
                     {"priorityLevelConfiguration", Value::object({{"name", schema.level}})},
                     {"rules", Value::array({std::move(rule)})}});
  if (!schema.distinguisher.empty()) {
    spec.set("distinguisherMethod", Value::object({{"type", schema.distinguisher}}));
  }
  Value object = head("FlowSchema", schema.name);
  object.set("spec", std::move(spec));
  return object;
}

Value dangling_condition(const std::string& level, bool exists, const std::string& now) {
  std::string message = fmt::format(
      "This FlowSchema references the PriorityLevelConfiguration object named \"{}\" {}", level,
      exists ? "and it exists" : "but there is no such object");
  return Value::object({{"type", "Dangling"},
                        {"status", exists ? "False" : "True"},
                        {"lastTransitionTime", now},
                        {"reason", exists ? "Found" : "NotFound"},
                        {"message", message}});
}

}  // namespace

class FlowControl::Schemas final : public client::WatchHandler {
 public:
  explicit Schemas(FlowControl& owner) : owner_(owner) {}
  void on_upsert(const ObjectRef& schema) override { owner_.judge(schema); }
  void on_delete(const ObjectRef&) override {}

 private:
  FlowControl& owner_;
};

// Of levels only coming and going matters.
class FlowControl::Levels final : public client::WatchHandler {
 public:
  explicit Levels(FlowControl& owner) : owner_(owner) {}
  void on_upsert(const ObjectRef& level) override {
    if (known_.insert(level->name.name).second) owner_.judge_all();
  }
  void on_delete(const ObjectRef& level) override {
    known_.erase(level->name.name);
    owner_.judge_all();
  }

 private:
  FlowControl& owner_;
  std::set<std::string> known_;
};

FlowControl::FlowControl(Registry& registry)
    : registry_(registry),
      producer_(std::make_unique<LocalClient>(registry, privileged_user("system:apiserver"),
                                              "api-priority-and-fairness-config-producer-v1")),
      consumer_(
          std::make_unique<LocalClient>(registry, privileged_user("system:apiserver"), kConsumer)),
      schemas_(std::make_unique<Schemas>(*this)),
      levels_(std::make_unique<Levels>(*this)) {}

FlowControl::~FlowControl() = default;

void FlowControl::start() {
  make_missing();
  client::WatchTarget target;
  target.group = kGroup;
  target.version = "v1";
  target.resource = kLevels.resource;
  level_watch_ = consumer_->watch(target, *levels_);
  target.resource = kSchemas.resource;
  schema_watch_ = consumer_->watch(target, *schemas_);
}

void FlowControl::make_missing() {
  auto make = [&](const GroupResource& resource, std::string_view name, const Value& object) {
    if (registry_.cache().get({resource, {"", std::string(name)}}) != nullptr) return;
    client::Request request;
    request.verb = client::Verb::kCreate;
    request.target = {resource.group, "v1", resource.resource, "", "", ""};
    request.body = json::write(object);
    producer_->call(std::move(request), [name = std::string(name)](Result<ObjectRef> made) {
      if (made.ok()) return;
      base::log(base::Level::kWarning, "registry", "flow control {}: {}", name,
                made.error().message);
    });
  };
  for (const Level& level : kLevelRows) make(kLevels, level.name, level_object(level));
  for (const Schema& schema : kSchemaRows) make(kSchemas, schema.name, schema_object(schema));
}

void FlowControl::judge_all() {
  std::vector<ObjectRef> all;
  registry_.cache().for_each(kSchemas, "", [&](const ObjectRef& schema) {
    all.push_back(schema);
    return true;
  });
  for (const ObjectRef& schema : all) judge(schema);
}

void FlowControl::judge(const ObjectRef& schema) {
  Result<Value> object = json::parse(schema->json);
  if (!object.ok()) return;
  std::string level = (*object)["spec"]["priorityLevelConfiguration"]["name"].text();
  bool exists = registry_.cache().get({kLevels, {"", level}}) != nullptr;
  Value wanted = dangling_condition(level, exists, base::format_time(registry_.clock().now_us()));
  for (const Value& c : (*object)["status"]["conditions"].elements()) {
    if (c["type"].as_string() != "Dangling") continue;
    if (c["status"] == wanted["status"] && c["message"] == wanted["message"]) return;
  }
  Value config = Value::object(
      {{"kind", "FlowSchema"},
       {"apiVersion", std::string(kGroup) + "/v1"},
       {"metadata", Value::object({{"name", schema->name.name}})},
       {"status", Value::object({{"conditions", Value::array({std::move(wanted)})}})}});
  client::Request request;
  request.verb = client::Verb::kPatch;
  request.patch_type = client::PatchType::kApply;
  request.target = {kGroup, "v1", kSchemas.resource, "", schema->name.name, "status"};
  request.query = std::string("fieldManager=") + kConsumer + "&force=true";
  request.body = json::write(config);
  consumer_->call(std::move(request), [name = schema->name.name](Result<ObjectRef> stored) {
    if (stored.ok() || stored.error().code == Code::kNotFound) return;
    base::log(base::Level::kWarning, "registry", "status of flow schema {}: {}", name,
              stored.error().message);
  });
}

}  // namespace knarr::server
