// A node with one pod on it, everything around its machine faked.
#pragma once

#include <memory>
#include <string>

#include "agent/pod_machine.h"
#include "fake_services.h"

namespace knarr::test {

inline json::Value container(const std::string& name) {
  return json::Value::object({{"name", name}, {"image", "busybox"}});
}

inline agent::PodRef make_pod(json::Value spec, bool deleting = false, int64_t grace_seconds = 30) {
  auto object = std::make_shared<Object>();
  object->name = {"default", "p"};
  object->uid = "u1";
  object->deleting = deleting;
  json::Value meta =
      json::Value::object({{"name", "p"}, {"namespace", "default"}, {"generation", 1}});
  if (deleting) meta.set("deletionGracePeriodSeconds", grace_seconds);
  object->json = json::write(json::Value::object({{"metadata", meta}, {"spec", std::move(spec)}}));
  return *agent::Pod::parse(object);
}

inline json::Value spec_of(std::initializer_list<json::Value> containers,
                           const char* policy = "Always") {
  return json::Value::object(
      {{"restartPolicy", policy}, {"containers", json::Value::array(containers)}});
}

// A node with one pod on it.
struct Node {
  FakeClock clock;
  FakeRuntime runtime{clock};
  FakeNetwork network;
  FakeVolumes volumes;
  FakeConfigurer configurer;
  FakeProber prober;
  FakeHooks hooks;
  FakeImages images;
  FakeStatuses statuses;
  FakeEvents events;
  FakeRoom room;
  agent::PodServices services{clock, runtime, network,  volumes, configurer, prober,
                              hooks, images,  statuses, events,  room,       {"192.0.2.1"}};
  std::shared_ptr<agent::PodMachine> machine;
  bool gone = false;
  json::Value spec;

  explicit Node(json::Value pod_spec) : spec(std::move(pod_spec)) {
    machine =
        std::make_shared<agent::PodMachine>(services, make_pod(spec), [this] { gone = true; });
    runtime.on_sandbox_exit = [this](const std::string& id) { machine->on_sandbox_exit(id); };
    runtime.on_exit = [this](const runtime::ContainerStatus& s) { machine->on_container_exit(s); };
  }
  void start(agent::Recovered recovered = {}) {
    machine->start({}, std::move(recovered));
    clock.settle();
  }
  void exit(const std::string& name, int code) {
    runtime.exit(runtime.running(name), code);
    clock.settle();
  }
  std::string phase() const { return statuses.last["phase"].text(); }
  const json::Value& status(size_t i = 0) const { return statuses.last["containerStatuses"][i]; }
  std::string condition(const std::string& type) const {
    for (const json::Value& c : statuses.last["conditions"].elements()) {
      if (c["type"].as_string() == type) return c["status"].text() + c["reason"].text();
    }
    return "";
  }
};

}  // namespace knarr::test
