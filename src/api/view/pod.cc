#include "api/view/pod.h"

#include <algorithm>
#include <utility>

#include "api/view/meta.h"

namespace knarr::api {

PodPhase parse_phase(std::string_view text) {
  if (text == "Running") return PodPhase::kRunning;
  if (text == "Succeeded") return PodPhase::kSucceeded;
  if (text == "Failed") return PodPhase::kFailed;
  if (text == "Unknown") return PodPhase::kUnknown;
  return PodPhase::kPending;
}

PodView::PodView(ObjectRef ref) : object(std::move(ref)), value(decode(*object)) {
  const json::Value& status = value["status"];
  phase = parse_phase(status["phase"].as_string());
  node = value["spec"]["nodeName"].text();
  const json::Value& c = condition(status["conditions"], "Ready");
  ready = c["status"].as_string() == "True";
  ready_since = time_field(c, "lastTransitionTime");
  created_at = creation_time(value);
}

int64_t PodView::available_at(int64_t min_ready_seconds) const {
  if (!ready) return 0;
  if (min_ready_seconds == 0) return std::max<int64_t>(ready_since, 1);
  return ready_since == 0 ? 0 : ready_since + min_ready_seconds * 1000000;
}

bool PodView::available(int64_t min_ready_seconds, int64_t now_us) const {
  if (!ready) return false;
  if (min_ready_seconds == 0) return true;
  int64_t at = available_at(min_ready_seconds);
  return at != 0 && at <= now_us;
}

int64_t max_restarts(const json::Value& pod) {
  int64_t most = 0;
  for (const char* list : {"containerStatuses", "initContainerStatuses"}) {
    for (const json::Value& c : pod["status"][list].elements()) {
      most = std::max(most, c["restartCount"].as_int());
    }
  }
  return most;
}

int64_t named_port(const json::Value& pod, std::string_view name, std::string_view protocol) {
  const json::Value& spec = pod["spec"];
  for (const char* list : {"containers", "initContainers"}) {
    for (const json::Value& container : spec[list].elements()) {
      if (list[0] == 'i' && container["restartPolicy"].as_string() != "Always") continue;
      for (const json::Value& port : container["ports"].elements()) {
        if (port["name"].as_string() == name && port["protocol"].as_string("TCP") == protocol) {
          return port["containerPort"].as_int();
        }
      }
    }
  }
  return 0;
}

}  // namespace knarr::api
