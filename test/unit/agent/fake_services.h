// Fakes with behaviour for the services of a pod machine: a runtime whose containers live in a map,
// and recorders for the rest.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "agent/offload.h"
#include "agent/pod_resources.h"
#include "agent/services.h"
#include "support/fake_clock.h"

namespace knarr::test {

class FakeRuntime final : public runtime::Runtime {
 public:
  template <typename T>
  using Done = runtime::Callback<T>;

  explicit FakeRuntime(FakeClock& clock) : clock_(clock) {}

  std::string name() const override { return "knarr"; }
  std::string version() const override { return "test"; }
  void set_listener(runtime::EventListener* listener) override { listener_ = listener; }
  void list(Done<runtime::Inventory> done) override { done(runtime::Inventory()); }

  void create_sandbox(runtime::SandboxConfig config, Done<runtime::SandboxStatus> done) override {
    runtime::SandboxStatus s;
    s.id = "sandbox" + std::to_string(++ids_);
    s.config = std::move(config);
    s.ready = true;
    s.netns = "/proc/1/ns/net";
    sandboxes[s.id] = s;
    clock_.defer([done, s] { done(s); });
  }
  void stop_sandbox(const std::string& id, Done<void> done) override {
    sandboxes[id].ready = false;
    clock_.defer([this, id, done] {
      if (on_sandbox_exit) on_sandbox_exit(id);
      done({});
    });
  }
  void remove_sandbox(const std::string& id, Done<void> done) override {
    sandboxes.erase(id);
    clock_.defer([done] { done({}); });
  }
  void create_container(const std::string& sandbox, runtime::ContainerConfig config,
                        Done<std::string> done) override {
    runtime::ContainerStatus c;
    c.id = "c" + std::to_string(++ids_);
    c.sandbox_id = sandbox;
    c.name = config.name;
    c.attempt = config.attempt;
    c.state = runtime::ContainerState::kCreated;
    c.resources = config.resources;
    containers[c.id] = c;
    clock_.defer([done, id = c.id] { done(id); });
  }
  void start_container(const std::string& id, Done<runtime::ContainerStatus> done) override {
    runtime::ContainerStatus& c = containers[id];
    started.push_back(c.name);
    if (!start_error.empty()) {
      clock_.defer([done, error = start_error] { done(make_error(Code::kInvalid, error)); });
      return;
    }
    c.state = runtime::ContainerState::kRunning;
    c.started_at_ns = clock_.now_us() * 1000;
    clock_.defer([done, c] { done(c); });
  }
  void stop_container(const std::string& id, int64_t grace_ms, Done<void> done) override {
    stopped.push_back(containers[id].name + " " + std::to_string(grace_ms));
    if (stubborn) return;
    clock_.defer([this, id, done] {
      exit(id, 143);
      done({});
    });
  }
  void remove_container(const std::string& id, Done<void> done) override {
    containers.erase(id);
    done({});
  }
  void update_resources(const std::string& id, runtime::Resources resources,
                        Done<void> done) override {
    if (!update_error.empty()) return done(make_error(Code::kInternalError, update_error));
    containers[id].resources = resources;
    updated.push_back(containers[id].name);
    clock_.defer([done] { done({}); });
  }
  void update_group(const std::string& group, runtime::Resources resources,
                    Done<void> done) override {
    groups[group] = resources;
    updated.push_back("group");
    clock_.defer([done] { done({}); });
  }
  void reopen_log(const std::string&, Done<void> done) override { done({}); }
  void stats(const std::string&, Done<runtime::ContainerStats> done) override {
    runtime::ContainerStats stats;
    stats.memory_usage_bytes = stats.memory_working_set_bytes = memory_used;
    done(stats);
  }
  void exec_sync(const std::string&, std::vector<std::string>, int64_t,
                 Done<runtime::ExecResult> done) override {
    done(runtime::ExecResult());
  }
  void exec(const std::string&, runtime::ExecOptions, runtime::StreamListener&,
            Done<std::unique_ptr<runtime::Stream>> done) override {
    done(make_error(Code::kNotFound, "no streams here"));
  }
  void attach(const std::string&, runtime::StreamListener&,
              Done<std::unique_ptr<runtime::Stream>> done) override {
    done(make_error(Code::kNotFound, "no streams here"));
  }
  void dial(const std::string&, uint16_t, Done<int> done) override {
    done(make_error(Code::kNotFound, "no network here"));
  }
  void pull_image(const std::string&, std::vector<runtime::RegistryAuth>,
                  Done<std::string> done) override {
    done(std::string("sha256:1"));
  }
  void image_status(const std::string&, Done<runtime::ImageSpec> done) override {
    done(runtime::ImageSpec());
  }
  void list_images(Done<std::vector<runtime::ImageSpec>> done) override {
    std::vector<runtime::ImageSpec> list;
    for (const auto& [id, size] : images) list.push_back({id, {}, {}, size, ""});
    done(list);
  }
  void remove_image(const std::string& id, Done<void> done) override {
    images.erase(id);
    done({});
  }
  void image_usage(Done<runtime::FilesystemUsage> done) override {
    done(runtime::FilesystemUsage());
  }

  // The container of that name ends by itself (or by a signal), and the listener is told.
  void exit(const std::string& id, int code) {
    runtime::ContainerStatus& c = containers[id];
    if (c.state != runtime::ContainerState::kRunning) return;
    c.state = runtime::ContainerState::kExited;
    c.exit_code = code;
    c.reason = code == 0 ? "Completed" : "Error";
    c.finished_at_ns = clock_.now_us() * 1000;
    if (on_exit) on_exit(c);
  }
  std::string running(const std::string& name) const {
    for (const auto& [id, c] : containers) {
      if (c.name == name && c.state == runtime::ContainerState::kRunning) return id;
    }
    return "";
  }

  std::map<std::string, runtime::SandboxStatus> sandboxes;
  std::map<std::string, runtime::ContainerStatus> containers;
  std::map<std::string, int64_t> images;  // sizes by id
  std::vector<std::string> started, stopped;
  bool stubborn = false;             // containers heed no signal
  std::vector<std::string> updated;  // names of containers, "group"
  std::map<std::string, runtime::Resources> groups;
  uint64_t memory_used = 0;
  std::string start_error, update_error;
  std::function<void(const runtime::ContainerStatus&)> on_exit;
  std::function<void(const std::string&)> on_sandbox_exit;

 private:
  FakeClock& clock_;
  runtime::EventListener* listener_ = nullptr;
  int ids_ = 0;
};

// At once.
class FakeOffload final : public agent::Offload {
 public:
  void run(const std::string&, Work work, agent::Callback<void> done) override { done(work()); }
};

class FakeNetwork final : public agent::PodNetwork {
 public:
  void attach(const agent::PodRef&, const std::string& id, const std::string&,
              agent::Callback<std::vector<std::string>> done) override {
    attached.push_back(id);
    done(std::vector<std::string>{"10.42.0.5"});
  }
  void detach(const std::string& id, agent::Callback<void> done) override {
    attached.erase(std::remove(attached.begin(), attached.end(), id), attached.end());
    done({});
  }
  void keep_only(const std::vector<std::string>&) override {}
  std::vector<std::string> attached;
};

class FakeVolumes final : public agent::PodVolumes {
 public:
  void set_up(const agent::PodRef&, agent::Callback<void> done) override {
    if (!error.empty()) return done(make_error(Code::kInternalError, error));
    is_up = true;
    done({});
  }
  void mounts(const agent::PodRef&, const agent::ContainerSpec&, const Variables&,
              agent::Callback<std::vector<runtime::Mount>> done) override {
    done(std::vector<runtime::Mount>());
  }
  void update(const agent::PodRef&) override {}
  void tear_down(const std::string&, agent::Callback<void> done) override {
    is_up = false;
    done({});
  }
  void keep_only(const std::vector<std::string>&) override {}
  bool is_up = false;
  std::string error;
};

class FakeConfigurer final : public agent::ContainerConfigurer {
 public:
  void configure(Input input, agent::Callback<runtime::ContainerConfig> done) override {
    if (!error.empty()) return done(make_error(Code::kInvalid, error));
    runtime::ContainerConfig config;
    config.name = input.container->name;
    config.attempt = input.attempt;
    config.resources = resources(*input.pod, *input.container);
    done(config);
  }
  Result<runtime::SandboxConfig> sandbox(const agent::Pod&, uint32_t attempt) override {
    runtime::SandboxConfig config;
    config.attempt = attempt;
    return config;
  }
  runtime::Resources resources(const agent::Pod& pod,
                               const agent::ContainerSpec& container) override {
    return agent::container_resources(pod, container, int64_t{1} << 30);
  }
  std::string termination_message(const agent::Pod&, const agent::ContainerSpec&,
                                  const runtime::ContainerStatus&) override {
    return "";
  }
  std::string error;
};

class FakeProber final : public agent::Prober {
 public:
  void start(Target target, Verdict verdict) override { verdicts[target.container_id] = verdict; }
  void stop(const std::string& id) override { verdicts.erase(id); }
  std::map<std::string, Verdict> verdicts;
};

class FakeHooks final : public agent::LifecycleHooks {
 public:
  void run(const agent::Prober::Target&, const json::Value&, int64_t,
           agent::Callback<void> done) override {
    done({});
  }
};

class FakeImages final : public agent::ImagePuller {
 public:
  void ensure(const agent::PodRef&, const agent::ContainerSpec&,
              std::function<void(Outcome)> done) override {
    if (holds) {
      held.push_back(std::move(done));
    } else {
      done(outcome);
    }
  }
  void forget(const std::string&) override {}
  Outcome outcome;
  bool holds = false;  // answers wait in `held`
  std::vector<std::function<void(Outcome)>> held;
};

class FakeRoom final : public agent::NodeRoomBook {
 public:
  agent::Admission admit_resize(const agent::Pod&) override { return verdict; }
  void room_changed() override { changes++; }
  agent::Admission verdict;
  int changes = 0;
};

class FakeStatuses final : public agent::StatusSink {
 public:
  void set(const agent::PodRef&, json::Value status) override { last = std::move(status); }
  void finish(const agent::PodRef&) override { finished = true; }
  json::Value last;
  bool finished = false;
};

class FakeEvents final : public agent::PodEvents {
 public:
  void normal(const agent::Pod&, const std::string&, std::string_view reason,
              std::string_view message) override {
    told.push_back(std::string(reason) + ": " + std::string(message));
  }
  void warning(const agent::Pod&, const std::string&, std::string_view reason,
               std::string_view message) override {
    told.push_back(std::string(reason) + ": " + std::string(message));
  }
  bool said(const std::string& text) const {
    return std::find(told.begin(), told.end(), text) != told.end();
  }
  std::vector<std::string> told;
};

}  // namespace knarr::test
