// HorizontalPodAutoscalers: every 15 seconds the scale of each one's target is read, its metrics
// are asked for, and the target is set to what they call for. The arithmetic is autoscaler_core.h.
//
// A pass is a chain of answers: scale -> each metric in turn -> the new scale -> the status. It is
// one Round, shared by the callbacks. What was recommended and done lately is kept here and lost at
// a restart, as upstream's. Loop thread.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "server/controllers/autoscaler_core.h"
#include "server/controllers/controller.h"
#include "server/controllers/namespace.h"
#include "server/metrics/metrics_source.h"

namespace knarr::server {

class HorizontalAutoscaler final : public Controller {
 public:
  // `metrics` null: nobody serves metrics.k8s.io.
  HorizontalAutoscaler(const ControllerContext& context, Discover discover, MetricsSource* metrics);
  std::vector<GroupResource> watches() const override { return {kAutoscalers.key()}; }
  void on_change(const GroupResource& resource, const ObjectRef& previous,
                 const ObjectRef& object) override;
  void reconcile(const NamespacedName& key, const PassRef& pass) override;

 private:
  struct Round;
  using RoundRef = std::shared_ptr<Round>;

  void get_scale(const RoundRef& round);
  void no_scale(const RoundRef& round, const std::string& why);
  void decide(const RoundRef& round);
  bool read_selector(const RoundRef& round);
  void next_metric(const RoundRef& round);
  void pod_metric(const RoundRef& round, const json::Value& source, const std::string& resource,
                  const std::string& container);
  void judge_pods(const RoundRef& round, const json::Value& target, const std::string& resource,
                  const std::string& container, const std::vector<PodSample>& samples);
  void metric_failed(const RoundRef& round, const char* reason, const std::string& why,
                     const std::string& prefix);
  void metrics_done(const RoundRef& round);
  void give_up(const RoundRef& round, const std::string& why);
  void rescale(const RoundRef& round, int64_t replicas, const std::string& reason);
  void finish(const RoundRef& round, int64_t desired, bool rescaled);
  void set_condition(const RoundRef& round, const char* type, bool is, const std::string& reason,
                     const std::string& message);

  Discover discover_;
  MetricsSource* metrics_;
  std::map<NamespacedName, ScaleHistory> histories_;
};

}  // namespace knarr::server
