#include "server/controllers/horizontal_autoscaler.h"

#include <algorithm>

#include "api/resource.h"
#include "api/selector.h"
#include "api/view/meta.h"
#include "base/time.h"

namespace knarr::server {

namespace {

constexpr int64_t kPeriodMs = 15000;
constexpr int64_t kHistoryUs = 3600 * 1000000LL;  // the longest window a rule may have
constexpr const char* kNotServed = "the server could not find the requested resource";

std::string milli_text(int64_t milli) { return api::Quantity::milli(milli).text(); }

}  // namespace

struct HorizontalAutoscaler::Round {
  PassRef pass;
  json::Value stored;
  json::Value autoscaler;  // its status changes as the round goes
  client::Target scale_target;
  json::Value scale;
  int64_t current = 0;
  api::LabelSelector selector;
  std::vector<api::PodView> pods;
  size_t next = 0;  // metric
  json::Value statuses;
  int64_t proposed = 0;
  std::string proposed_by;
  int64_t failures = 0;
  std::string first_error, first_reason, first_message;

  const json::Value& spec() const { return autoscaler["spec"]; }
  int64_t least() const { return api::int_field(autoscaler["spec"], "minReplicas", 1); }
  int64_t most() const { return autoscaler["spec"]["maxReplicas"].as_int(); }
};

HorizontalAutoscaler::HorizontalAutoscaler(const ControllerContext& context, Discover discover,
                                           MetricsSource* metrics)
    : Controller(context, "horizontal-pod-autoscaler", 5),
      discover_(std::move(discover)),
      metrics_(metrics) {}

void HorizontalAutoscaler::on_change(const GroupResource&, const ObjectRef& previous,
                                     const ObjectRef& object) {
  if (object == nullptr) {
    histories_.erase(previous->name);
    return;
  }
  // Statuses are its own doing.
  bool same = previous != nullptr && api::decode(*previous)["spec"] == api::decode(*object)["spec"];
  if (!same) enqueue(object->name);
}

void HorizontalAutoscaler::reconcile(const NamespacedName& key, const PassRef& pass) {
  ObjectRef object = context_.get(kAutoscalers, key);
  if (object == nullptr || object->deleting) return;
  pass->again_after_ms(kPeriodMs);
  auto round = std::make_shared<Round>();
  round->pass = pass;
  round->stored = api::decode(*object);
  round->autoscaler = round->stored;
  get_scale(round);
}

void HorizontalAutoscaler::get_scale(const RoundRef& round) {
  const json::Value& ref = round->spec()["scaleTargetRef"];
  std::string kind = ref["kind"].text();
  std::string_view group, version;
  if (!api::split_api_version(ref["apiVersion"].as_string(), group, version)) {
    return no_scale(round, "unexpected GroupVersion string: " + ref["apiVersion"].text());
  }
  bool known = false;
  for (const DeletableResource& r : discover_()) {
    if (r.group != group || r.kind != kind) continue;
    known = true;
    round->scale_target = {r.group, r.version, r.plural, round->pass->key().ns, ref["name"].text(),
                           "scale"};
  }
  if (!known) {
    return no_scale(round,
                    "no matches for kind \"" + kind + "\" in group \"" + std::string(group) + "\"");
  }
  const client::Target& target = round->scale_target;
  const api::ResourceInfo* info = api::find_resource(group, target.version, target.resource);
  if (info != nullptr && info->subresource("scale") == nullptr) {
    return no_scale(round, kNotServed);
  }
  round->pass->write({client::Verb::kGet, target, {}, {}, {}},
                     [this, round](Result<ObjectRef> answer) {
                       if (!answer.ok()) return no_scale(round, answer.error().message);
                       round->scale = api::decode(**answer);
                       round->current = round->scale["spec"]["replicas"].as_int();
                       set_condition(round, "AbleToScale", true, "SucceededGetScale",
                                     "the HPA controller was able to get the target's current "
                                     "scale");
                       decide(round);
                     });
}

void HorizontalAutoscaler::no_scale(const RoundRef& round, const std::string& why) {
  event(round->autoscaler, true, "FailedGetScale", why);
  set_condition(round, "AbleToScale", false, "FailedGetScale",
                "the HPA controller was unable to get the target's current scale: " + why);
  json::Value& status = round->autoscaler.member("status");
  if (!status.has("desiredReplicas")) status.set("desiredReplicas", 0);
  if (!status.has("currentMetrics")) status.set("currentMetrics", json::Value());
  if (round->autoscaler == round->stored) return;
  round->pass->write(update_request(kAutoscalers, round->autoscaler, "status"));
}

void HorizontalAutoscaler::decide(const RoundRef& round) {
  ScaleHistory& history = histories_[round->pass->key()];
  history.forget_before(now_us() - kHistoryUs);
  if (history.recommendations.empty()) {
    history.recommendations.push_back({now_us(), round->current});
  }
  if (round->current == 0 && round->least() != 0) {
    set_condition(round, "ScalingActive", false, "ScalingDisabled",
                  "scaling is disabled since the replica count of the target is zero");
    return finish(round, round->current, false);
  }
  if (round->current > round->most()) {
    return rescale(round, round->most(), "Current number of replicas above Spec.MaxReplicas");
  }
  if (round->current < round->least()) {
    return rescale(round, round->least(), "Current number of replicas below Spec.MinReplicas");
  }
  if (!read_selector(round)) return;
  next_metric(round);
}

bool HorizontalAutoscaler::read_selector(const RoundRef& round) {
  std::string text = round->scale["status"]["selector"].text();
  if (text.empty()) {
    event(round->autoscaler, true, "SelectorRequired", "selector is required");
    set_condition(round, "ScalingActive", false, "InvalidSelector",
                  "the HPA target's scale is missing a selector");
    give_up(round, "selector is required");
    return false;
  }
  auto selector = api::LabelSelector::parse(text);
  if (!selector.ok()) {
    std::string why = "couldn't convert selector into a corresponding internal selector object: " +
                      selector.error().message;
    event(round->autoscaler, true, "InvalidSelector", why);
    set_condition(round, "ScalingActive", false, "InvalidSelector", why);
    give_up(round, why);
    return false;
  }
  round->selector = *selector;
  context_.cache.for_each(kPods.key(), round->pass->key().ns, [&](const ObjectRef& pod) {
    if (selector->matches(*pod)) round->pods.emplace_back(pod);
    return true;
  });
  return true;
}

void HorizontalAutoscaler::next_metric(const RoundRef& round) {
  const json::Value& metrics = round->spec()["metrics"];
  if (round->next >= metrics.size()) return metrics_done(round);
  const json::Value& metric = metrics[round->next];
  round->statuses.push_back(json::Value::object({{"type", ""}}));
  std::string type = metric["type"].text();
  if (type == "Resource" || type == "ContainerResource") {
    const json::Value& source = metric[type == "Resource" ? "resource" : "containerResource"];
    return pod_metric(round, source, source["name"].text(), source["container"].text());
  }
  // Adapters serve these through aggregation, which a controller in this process does not reach.
  constexpr const char* kNoCustom =
      "unable to fetch metrics from custom metrics API: no custom metrics API "
      "(custom.metrics.k8s.io) registered";
  if (type == "Pods") {
    return metric_failed(
        round, "FailedGetPodsMetric",
        "unable to get metric " + metric["pods"]["metric"]["name"].text() + ": " + kNoCustom,
        "failed to get pods metric value: ");
  }
  if (type == "Object") {
    const json::Value& object = metric["object"]["describedObject"];
    return metric_failed(round, "FailedGetObjectMetric",
                         "unable to get metric " + metric["object"]["metric"]["name"].text() +
                             ": " + object["kind"].text() + " on " + round->pass->key().ns + " " +
                             object["name"].text() + "/" + kNoCustom,
                         "failed to get object metric value: ");
  }
  if (type == "External") {
    std::string name = metric["external"]["metric"]["name"].text();
    return metric_failed(round, "FailedGetExternalMetric",
                         "unable to get external metric " + round->pass->key().ns + "/" + name +
                             "/nil: unable to fetch metrics from external metrics API: " +
                             kNotServed + " (get " + name + ".external.metrics.k8s.io)",
                         "failed to get " + name + " external metric value: ");
  }
  metric_failed(round, "InvalidMetricSourceType", "unknown metric source type \"" + type + "\"",
                "");
}

void HorizontalAutoscaler::pod_metric(const RoundRef& round, const json::Value& source,
                                      const std::string& resource, const std::string& container) {
  json::Value target = source["target"];
  auto judge = [this, round, target, resource, container](Result<std::vector<PodSample>> samples) {
    bool share = target["averageValue"].is_null();
    std::string prefix = "failed to get " + resource +
                         (container.empty() ? " resource" : " container") + " metric value: ";
    std::string why = "failed to get " + resource + (share ? " utilization: " : " usage: ") +
                      "unable to get metrics for resource " + resource + ": ";
    const char* reason =
        container.empty() ? "FailedGetResourceMetric" : "FailedGetContainerResourceMetric";
    if (!samples.ok()) {
      why += "unable to fetch metrics from resource metrics API: " + samples.error().message;
      return metric_failed(round, reason, why, prefix);
    }
    if (samples->empty()) {
      return metric_failed(round, reason, why + "no metrics returned from resource metrics API",
                           prefix);
    }
    judge_pods(round, target, resource, container, *samples);
  };
  if (metrics_ == nullptr) {
    return judge(
        make_error(Code::kNotFound, std::string(kNotServed) + " (get pods.metrics.k8s.io)"));
  }
  metrics_->pod_metrics(round->pass->key().ns, round->selector,
                        [hold = round->pass->hold(), judge](
                            Result<std::vector<PodSample>> samples) { judge(std::move(samples)); });
}

namespace {

// A pod one of whose containers says nothing of the resource has no metric.
PodMetrics metrics_of(const std::vector<PodSample>& samples, const std::string& resource,
                      const std::string& container) {
  PodMetrics metrics;
  for (const PodSample& sample : samples) {
    PodMetric metric{0, sample.timestamp_us, sample.window_us};
    bool missing = sample.containers.empty(), found = false;
    for (const auto& [name, usage] : sample.containers) {
      if (!container.empty() && name != container) continue;
      auto value = usage.find(resource);
      missing |= value == usage.end();
      if (missing) break;
      found = true;
      metric.value_milli += value->second.milli_value();
    }
    if (found && !missing) metrics[sample.pod] = metric;
  }
  return metrics;
}

Tolerances tolerances_of(const json::Value& behavior) {
  Tolerances t;
  const json::Value& up = behavior["scaleUp"]["tolerance"];
  const json::Value& down = behavior["scaleDown"]["tolerance"];
  if (!up.is_null()) t.up = api::quantity_or_zero(up.as_string()).as_double();
  if (!down.is_null()) t.down = api::quantity_or_zero(down.as_string()).as_double();
  return t;
}

}  // namespace

void HorizontalAutoscaler::judge_pods(const RoundRef& round, const json::Value& target,
                                      const std::string& resource, const std::string& container,
                                      const std::vector<PodSample>& samples) {
  PodUsage usage{round->pods,       metrics_of(samples, resource, container), round->current,
                 resource == "cpu", tolerances_of(round->spec()["behavior"]), now_us()};
  bool share = target["averageValue"].is_null();
  Result<Proposal> proposal = make_error(Code::kUnknown, "");
  if (share) {
    auto requests = requests_of(round->pods, resource, container);
    proposal = requests.ok() ? replicas_for_utilization(std::move(usage), *requests,
                                                        target["averageUtilization"].as_int())
                             : Result<Proposal>(requests.error());
  } else {
    api::Quantity average = api::quantity_or_zero(target["averageValue"].as_string());
    proposal = replicas_for_average(std::move(usage), average.milli_value());
  }
  const char* kind = container.empty() ? " resource" : " container resource";
  if (!proposal.ok()) {
    return metric_failed(
        round, container.empty() ? "FailedGetResourceMetric" : "FailedGetContainerResourceMetric",
        "failed to get " + resource + (share ? " utilization: " : " usage: ") +
            proposal.error().message,
        "failed to get " + resource + (container.empty() ? " resource" : " container") +
            " metric value: ");
  }
  json::Value current = json::Value::object();
  if (share) current.set("averageUtilization", proposal->utilization_percent);
  current.set("averageValue", milli_text(proposal->average_milli));
  json::Value source = json::Value::object({{"name", resource}, {"current", std::move(current)}});
  if (!container.empty()) source.set("container", container);
  round->statuses.at(round->next) =
      container.empty()
          ? json::Value::object({{"type", "Resource"}, {"resource", std::move(source)}})
          : json::Value::object(
                {{"type", "ContainerResource"}, {"containerResource", std::move(source)}});
  if (round->proposed_by.empty() || proposal->replicas > round->proposed) {
    round->proposed = proposal->replicas;
    round->proposed_by = resource + kind + (share ? " utilization (percentage of request)" : "");
  }
  ++round->next;
  next_metric(round);
}

void HorizontalAutoscaler::metric_failed(const RoundRef& round, const char* reason,
                                         const std::string& why, const std::string& prefix) {
  event(round->autoscaler, true, reason, why);
  if (round->failures++ == 0) {
    round->first_error = prefix + why;
    round->first_reason = reason;
    round->first_message = "the HPA was unable to compute the replica count: " + why;
  }
  ++round->next;
  next_metric(round);
}

void HorizontalAutoscaler::metrics_done(const RoundRef& round) {
  int64_t metrics = static_cast<int64_t>(round->spec()["metrics"].size());
  if (round->failures >= metrics || (round->failures > 0 && round->proposed < round->current)) {
    set_condition(round, "ScalingActive", false, round->first_reason, round->first_message);
    return give_up(round, "invalid metrics (" + std::to_string(round->failures) +
                              " invalid out of " + std::to_string(metrics) +
                              "), first error is: " + round->first_error);
  }
  set_condition(
      round, "ScalingActive", true, "ValidMetricFound",
      "the HPA was able to successfully calculate a replica count from " + round->proposed_by);
  std::string reason;
  if (round->proposed > round->current) reason = round->proposed_by + " above target";
  if (round->proposed < round->current) reason = "All metrics below target";
  ScaleVerdict verdict =
      settle_replicas(histories_[round->pass->key()], round->spec()["behavior"],
                      {round->least(), round->most()}, round->current, round->proposed, now_us());
  set_condition(round, "AbleToScale", true, verdict.stable_reason, verdict.stable_message);
  set_condition(round, "ScalingLimited", verdict.limited, verdict.limit_reason,
                verdict.limit_message);
  if (verdict.replicas == round->current) return finish(round, round->current, false);
  rescale(round, verdict.replicas, reason);
}

// No count could be had: the status says so, the target stays as it is.
void HorizontalAutoscaler::give_up(const RoundRef& round, const std::string& why) {
  finish(round, round->autoscaler["status"]["desiredReplicas"].as_int(), false);
  event(round->autoscaler, true, "FailedComputeMetricsReplicas", why);
}

void HorizontalAutoscaler::rescale(const RoundRef& round, int64_t replicas,
                                   const std::string& reason) {
  json::Value scale = round->scale;
  scale.member("spec").set("replicas", replicas);
  client::Request request{client::Verb::kUpdate, round->scale_target, json::write(scale), {}, {}};
  round->pass->write(std::move(request), [this, round, replicas, reason](Result<ObjectRef> answer) {
    // Its status was just written: once more, from the newest scale.
    if (!answer.ok() && answer.error().code == Code::kConflict) {
      return round->pass->fail(answer.error());
    }
    std::string size = "New size: " + std::to_string(replicas) + "; reason: " + reason;
    if (!answer.ok()) {
      const std::string& why = answer.error().message;
      event(round->autoscaler, true, "FailedRescale", size + "; error: " + why);
      set_condition(round, "AbleToScale", false, "FailedUpdateScale",
                    "the HPA controller was unable to update the target scale: " + why);
      return finish(round, round->autoscaler["status"]["desiredReplicas"].as_int(), false);
    }
    set_condition(
        round, "AbleToScale", true, "SucceededRescale",
        "the HPA controller was able to update the target scale to " + std::to_string(replicas));
    event(round->autoscaler, false, "SuccessfulRescale", size);
    ScaleHistory& history = histories_[round->pass->key()];
    int64_t change = replicas - round->current;
    (change > 0 ? history.ups : history.downs).push_back({now_us(), std::abs(change)});
    finish(round, replicas, true);
  });
}

void HorizontalAutoscaler::finish(const RoundRef& round, int64_t desired, bool rescaled) {
  json::Value& status = round->autoscaler.member("status");
  api::set_or_erase(status, "currentReplicas", round->current);
  status.set("desiredReplicas", desired);
  // Null, where no metric was looked at.
  status.set("currentMetrics", round->statuses);
  if (rescaled) status.set("lastScaleTime", base::format_time(now_us()));
  status.erase("observedGeneration");
  if (round->autoscaler == round->stored) return;
  round->pass->write(update_request(kAutoscalers, round->autoscaler, "status"));
}

void HorizontalAutoscaler::set_condition(const RoundRef& round, const char* type, bool is,
                                         const std::string& reason, const std::string& message) {
  json::Value& conditions = round->autoscaler.member("status").member("conditions");
  json::Value* found = nullptr;
  for (json::Value& c : conditions.elements()) {
    if (c["type"].as_string() == type) found = &c;
  }
  if (found == nullptr) {
    found = &conditions.push_back(json::Value::object({{"type", type}}));
  }
  const char* text = is ? "True" : "False";
  if ((*found)["status"].as_string() != text) {
    found->set("status", text).set("lastTransitionTime", base::format_time(now_us()));
  }
  found->set("reason", reason).set("message", message);
}

}  // namespace knarr::server
