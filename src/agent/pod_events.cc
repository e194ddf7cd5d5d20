#include "agent/pod_events.h"

namespace knarr::agent {

namespace {

json::Value reference(const Pod& pod, const std::string& field_path) {
  json::Value v =
      json::Value::object({{"kind", "Pod"},
                           {"namespace", pod.ns()},
                           {"name", pod.name()},
                           {"uid", pod.uid()},
                           {"apiVersion", "v1"},
                           {"resourceVersion", std::to_string(pod.object()->revision)}});
  if (!field_path.empty()) v.set("fieldPath", field_path);
  return v;
}

}  // namespace

void KubeletEvents::normal(const Pod& pod, const std::string& field_path, std::string_view reason,
                           std::string_view message) {
  recorder_.record(reference(pod, field_path), api::EventType::kNormal, reason, message);
}

void KubeletEvents::warning(const Pod& pod, const std::string& field_path, std::string_view reason,
                            std::string_view message) {
  recorder_.record(reference(pod, field_path), api::EventType::kWarning, reason, message);
}

}  // namespace knarr::agent
