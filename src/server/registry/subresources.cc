#include "server/registry/subresources.h"

#include "api/apply/managed_fields.h"
#include "api/codec/decode.h"
#include "api/codec/encode.h"
#include "api/schema/defaults.h"
#include "api/selector.h"
#include "base/format.h"
#include "base/time.h"
#include "server/status/errors.h"

namespace knarr::server {

using json::Value;

Value scale_of(const api::ResourceInfo& resource, const Value& object) {
  const Value& meta = object["metadata"];
  Value m = Value::object();
  for (const char* key : {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"}) {
    if (!meta[key].is_null()) m.set(key, meta[key]);
  }
  Value spec = Value::object();
  int64_t wanted = object["spec"]["replicas"].as_int();
  if (wanted != 0) spec.set("replicas", wanted);
  Value status = Value::object({{"replicas", object["status"]["replicas"].as_int()}});
  std::string selector;
  if (resource.plural == "replicationcontrollers") {
    selector = api::LabelSelector::from_map(object["spec"]["selector"]).text();
  } else {
    Result<api::LabelSelector> parsed = api::LabelSelector::from_object(object["spec"]["selector"]);
    if (parsed.ok()) selector = parsed->text();
  }
  if (!selector.empty()) status.set("selector", selector);
  return Value::object({{"kind", "Scale"},
                        {"apiVersion", "autoscaling/v1"},
                        {"metadata", std::move(m)},
                        {"spec", std::move(spec)},
                        {"status", std::move(status)}});
}

void track_virtual_fields(const RegistryDeps& deps, const Request& request, Value& object) {
  api::Writer writer;
  writer.manager = request.field_manager.empty() ? api::manager_of_user_agent(request.user_agent)
                                                 : request.field_manager;
  writer.api_version = object["apiVersion"].text();
  writer.subresource = request.subresource();
  writer.time = base::format_time(deps.clock.now_us());
  const api::Type& type = request.sub == nullptr ? *request.resource->type : *request.sub->type;
  api::update_managed_fields(type, Value::object(), object, writer);
}

void create_virtual(Registry& registry, RequestPtr request, Body body, Done done) {
  const api::Subresource* sub = request->sub;
  const api::ResourceInfo& resource = *request->resource;
  api::DecodeOptions options;
  options.group = sub == nullptr ? resource.group : sub->group;
  options.version = sub == nullptr ? resource.version : sub->version;
  options.kind = sub == nullptr ? resource.kind : sub->kind;
  options.type = sub == nullptr ? resource.type : sub->type;
  options.media = body.media;
  options.validation = request->validation;
  if (options.type == nullptr) return done(method_not_allowed());
  Result<api::Decoded> decoded = api::decode_body(options, body.bytes);
  if (!decoded.ok()) return done(std::move(decoded).error());
  for (std::string& w : decoded->strict_errors) request->warnings.push_back(std::move(w));
  api::apply_defaults(*options.type, decoded->value);

  std::string_view kind = options.kind;
  if (kind == "Binding") return create_binding(registry, request, decoded->value, std::move(done));
  if (kind == "Eviction") {
    return create_eviction(registry, request, decoded->value, std::move(done));
  }
  if (kind == "TokenRequest") {
    return create_token(registry.deps(), *request, std::move(decoded->value), std::move(done));
  }
  create_review(registry.deps(), *request, std::move(decoded->value), std::move(done));
}

namespace {

Answer created_success() {
  Answer a;
  a.code = 201;
  a.json = json::write(Value::object({{"kind", "Status"},
                                      {"apiVersion", "v1"},
                                      {"metadata", Value::object()},
                                      {"status", "Success"},
                                      {"code", 201}}));
  return a;
}

void set_condition(Value& status, Value condition) {
  Value& conditions = status.member("conditions");
  for (Value& c : conditions.elements()) {
    if (c["type"] == condition["type"]) {
      if (c["status"] == condition["status"]) {
        condition.set("lastTransitionTime", c["lastTransitionTime"]);
      }
      c = std::move(condition);
      return;
    }
  }
  conditions.push_back(std::move(condition));
}

Result<Value> bound_pod(const Request& request, const Value& live, const Value& binding,
                        const std::string& now) {
  auto refuse = [&](std::string why) { return conflict("", "pods/binding", request.name, why); };
  Value pod = live;
  std::string_view uid = binding["metadata"]["uid"].as_string();
  if (!uid.empty() && uid != live["metadata"]["uid"].as_string()) {
    return uid_conflict(request, uid, live["metadata"]["uid"].as_string());
  }
  if (!pod["metadata"]["deletionTimestamp"].is_null()) {
    return refuse(
        fmt::format("pod {} is being deleted, cannot be assigned to a host", request.name));
  }
  std::string node = pod["spec"]["nodeName"].text();
  if (!node.empty()) {
    return refuse(fmt::format("pod {} is already assigned to node \"{}\"", request.name, node));
  }
  if (!pod["spec"]["schedulingGates"].empty()) {
    return refuse(fmt::format("pod {} has non-empty .spec.schedulingGates", request.name));
  }
  pod.member("spec").set("nodeName", binding["target"]["name"]);
  for (json::Member m : binding["metadata"]["annotations"].members()) {
    pod.member("metadata").member("annotations").set(m.key, m.value);
  }
  for (json::Member m : binding["metadata"]["labels"].members()) {
    pod.member("metadata").member("labels").set(m.key, m.value);
  }
  pod.member("status").erase("nominatedNodeName");
  set_condition(pod.member("status"), Value::object({{"type", "PodScheduled"},
                                                     {"status", "True"},
                                                     {"lastProbeTime", Value()},
                                                     {"lastTransitionTime", now}}));
  return pod;
}

}  // namespace

void create_binding(Registry& registry, RequestPtr request, const Value& binding, Done done) {
  std::string name = binding["metadata"]["name"].text();
  if (request->sub == nullptr) request->name = name;
  if (name.empty() || name != request->name) {
    return done(bad_request("name in URL does not match name in Binding object"));
  }
  const Value& target = binding["target"];
  std::string kind = target["kind"].text();
  if ((!kind.empty() && kind != "Node") || target["name"].as_string().empty()) {
    api::ErrorList errors;
    if (!kind.empty() && kind != "Node") {
      errors.not_supported(api::Path("target") / "kind", target["kind"], {"Node", "<empty>"});
    }
    if (target["name"].as_string().empty()) errors.required(api::Path("target") / "name");
    return done(
        make_error(Code::kUnknown, errors.errors()[0].field + ": " + errors.errors()[0].body));
  }
  const api::ResourceInfo* pods = api::find_resource("", "v1", "pods");
  auto inner = std::make_shared<Request>(*request);
  inner->resource = pods;
  inner->sub = nullptr;
  Value admitted = binding;
  AdmissionRequest admission;
  admission.resource = pods;
  admission.subresource = "binding";
  admission.ns = request->ns;
  admission.name = name;
  admission.user = request->user;
  admission.dry_run = request->dry_run;
  admission.object = &admitted;
  admission.warnings = &request->warnings;
  Result<void> may = registry.deps().admission.mutate(admission);
  if (may.ok()) may = registry.deps().admission.validate(admission);
  if (!may.ok()) return done(may.error());
  std::string now = base::format_time(registry.clock().now_us());
  registry.replace(
      inner,
      [inner, binding = std::move(admitted), now](const Value& live) {
        return bound_pod(*inner, live, binding, now);
      },
      [done = std::move(done)](Result<Answer> answer) {
        if (!answer.ok()) return done(std::move(answer).error());
        done(created_success());
      });
}

namespace {

// The budgets of the namespace whose selector holds the pod.
std::vector<ObjectRef> budgets_of(Cache& cache, const Object& pod) {
  std::vector<ObjectRef> out;
  cache.for_each({"policy", "poddisruptionbudgets"}, pod.name.ns, [&](const ObjectRef& object) {
    Result<Value> pdb = json::parse(object->json);
    if (!pdb.ok()) return true;
    Result<api::LabelSelector> selector =
        api::LabelSelector::from_object((*pdb)["spec"]["selector"]);
    if (selector.ok() && selector->matches(pod)) out.push_back(object);
    return true;
  });
  return out;
}

Error budget_refusal(const std::string& why) {
  auto details = std::make_shared<ErrorDetails>();
  details->causes.push_back({"DisruptionBudget", why, ""});
  return Error{Code::kTooManyRequests,
               "Cannot evict pod as it would violate the pod's disruption budget.",
               std::move(details)};
}

Result<Value> spent_budget(const Request& pod, const Value& live, const std::string& now) {
  const Value& status = live["status"];
  std::string name = live["metadata"]["name"].text();
  if (status["observedGeneration"].as_int() < live["metadata"]["generation"].as_int()) {
    Error e = budget_refusal(
        fmt::format("The disruption budget {} is still being processed by the server.", name));
    auto details = std::make_shared<ErrorDetails>(*e.details);
    details->retry_after_seconds = 10;
    e.details = std::move(details);
    return e;
  }
  if (status["disruptionsAllowed"].as_int() <= 0) {
    if (status["currentHealthy"].as_int() > status["desiredHealthy"].as_int()) {
      return budget_refusal(
          fmt::format("The disruption budget {} does not allow evicting pods currently", name));
    }
    return budget_refusal(
        fmt::format("The disruption budget {} needs {} healthy pods and has {} currently", name,
                    status["desiredHealthy"].as_int(), status["currentHealthy"].as_int()));
  }
  Value pdb = live;
  Value& s = pdb.member("status");
  s.set("disruptionsAllowed", s["disruptionsAllowed"].as_int() - 1);
  s.member("disruptedPods").set(pod.name, now);
  return pdb;
}

// A pod that is not ready takes nothing from the budget that its policy guards.
bool evicts_unready(const Value& pod, const Value& budget) {
  for (const Value& c : pod["status"]["conditions"].elements()) {
    if (c["type"].as_string() == "Ready" && c["status"].as_string() == "True") return false;
  }
  if (budget["spec"]["unhealthyPodEvictionPolicy"].as_string() == "AlwaysAllow") return true;
  const Value& status = budget["status"];
  int64_t desired = status["desiredHealthy"].as_int();
  return desired > 0 && status["currentHealthy"].as_int() >= desired;
}

}  // namespace

void create_eviction(Registry& registry, RequestPtr request, const Value& eviction, Done done) {
  std::string name = eviction["metadata"]["name"].text();
  if (!name.empty() && name != request->name) {
    return done(bad_request("name in URL does not match name in Eviction object"));
  }
  const api::ResourceInfo* pods = request->resource;
  auto inner = std::make_shared<Request>(*request);
  inner->sub = nullptr;
  inner->resource = pods;
  // Before the budget is asked: a dry run spends none of it.
  inner->dry_run = inner->dry_run || !eviction["deleteOptions"]["dryRun"].empty();
  Result<ObjectRef> pod = registry.get(*inner);
  if (!pod.ok()) return done(std::move(pod).error());
  Result<Value> value = json::parse((*pod)->json);
  if (!value.ok()) return done(internal_error(value.error().message));

  Body options{json::write(eviction["deleteOptions"].is_null() ? Value::object()
                                                               : eviction["deleteOptions"]),
               api::Media::kJson};
  auto finish = [done](Result<Answer> answer) {
    if (!answer.ok()) return done(std::move(answer).error());
    done(created_success());
  };
  auto remove = [&registry, inner, options, finish] { registry.remove(inner, options, finish); };

  std::string_view phase = (*value)["status"]["phase"].as_string();
  bool free = phase == "Succeeded" || phase == "Failed" || phase == "Pending" || (*pod)->deleting;
  std::vector<ObjectRef> budgets = budgets_of(registry.cache(), **pod);
  if (budgets.size() > 1) {
    return done(make_error(Code::kUnknown,
                           "This pod has more than one PodDisruptionBudget, which the eviction "
                           "subresource does not support."));
  }
  if (free || budgets.empty()) return remove();
  if (Result<Value> b = json::parse(budgets[0]->json); b.ok() && evicts_unready(*value, *b)) {
    return remove();
  }
  auto budget = std::make_shared<Request>(*inner);
  budget->resource = api::find_resource("policy", "v1", "poddisruptionbudgets");
  budget->name = budgets[0]->name.name;
  std::string now = base::format_time(registry.clock().now_us());
  registry.replace(
      budget, [inner, now](const Value& live) { return spent_budget(*inner, live, now); },
      [remove, done](Result<Answer> answer) {
        if (!answer.ok()) return done(std::move(answer).error());
        remove();
      });
}

}  // namespace knarr::server
