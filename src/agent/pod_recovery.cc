#include "agent/pod_recovery.h"

#include <algorithm>

#include "base/time.h"

namespace knarr::agent {

using json::Value;

namespace {

int64_t ns_of(const Value& time) {
  auto us = base::parse_time(time.as_string());
  return us.ok() ? *us * 1000 : 0;
}

// What was told to run and is not there has met an end that nobody saw.
runtime::ContainerStatus ended(const Value& told, int64_t now_us) {
  runtime::ContainerStatus c;
  std::string id = told["containerID"].text();
  size_t scheme = id.find("://");
  c.id = scheme == std::string::npos ? id : id.substr(scheme + 3);
  c.name = told["name"].text();
  c.attempt = static_cast<uint32_t>(told["restartCount"].as_int());
  c.image_id = told["imageID"].text();
  c.image_ref = told["image"].text();
  c.state = runtime::ContainerState::kExited;
  const Value& over = told["state"]["terminated"];
  if (over.is_object()) {
    c.exit_code = static_cast<int>(over["exitCode"].as_int());
    c.reason = over["reason"].text();
    c.message = over["message"].text();
    c.started_at_ns = ns_of(over["startedAt"]);
    c.finished_at_ns = ns_of(over["finishedAt"]);
  } else {
    c.exit_code = 137;
    c.reason = "ContainerStatusUnknown";
    c.message = "The container could not be located when the pod was terminated";
    c.started_at_ns = ns_of(told["state"]["running"]["startedAt"]);
    c.finished_at_ns = now_us * 1000;
  }
  return c;
}

}  // namespace

Remains remains_of(const Pod& pod, const ContainerSpec& container, const Recovered& recovered,
                   int64_t now_us) {
  Remains remains;
  for (const runtime::ContainerStatus& c : recovered.containers) {
    if (c.name == container.name) remains.newest_first.push_back(c);
  }
  std::sort(remains.newest_first.begin(), remains.newest_first.end(),
            [](const auto& a, const auto& b) { return a.attempt > b.attempt; });
  for (const Value& told : pod.status()[lists_of(container.kind).status].elements()) {
    if (told["name"].as_string() != container.name || !told.has("containerID")) continue;
    if (!remains.newest_first.empty()) {
      bool same = told["containerID"].as_string().ends_with("/" + remains.newest_first[0].id);
      remains.started = same && told["started"].as_bool();
      remains.ready = same && told["ready"].as_bool();
      continue;
    }
    remains.restart_count = static_cast<int>(told["restartCount"].as_int());
    // These are not run again: what the API has of them is what is known.
    if (container.kind == ContainerKind::kEphemeral || pod.finished()) {
      remains.newest_first.push_back(ended(told, now_us));
    }
  }
  return remains;
}

}  // namespace knarr::agent
