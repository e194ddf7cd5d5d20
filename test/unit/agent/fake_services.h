// Fakes for the services of a pod machine: most record what is asked of them.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "agent/offload.h"
#include "agent/pod_resources.h"
#include "agent/services.h"
#include "fake_runtime.h"
#include "support/fake_clock.h"

namespace knarr::test {

// At once.
class FakeOffload final : public agent::Offload {
 public:
  void run(const std::string&, Work work, agent::Callback<void> done) override { done(work()); }
};

class FakeNetwork final : public agent::PodNetwork {
 public:
  void attach(const agent::PodRef&, const std::string& id, const std::string&,
              agent::Callback<std::vector<std::string>> done) override {
    if (!error.empty()) return done(make_error(Code::kInternalError, error));
    attached.push_back(id);
    if (holds) {
      held.push_back(std::move(done));
    } else {
      done(std::vector<std::string>{"10.42.0.5"});
    }
  }
  void detach(const std::string& id, agent::Callback<void> done) override {
    if (on_detach) on_detach(id);
    attached.erase(std::remove(attached.begin(), attached.end(), id), attached.end());
    done({});
  }
  void keep_only(const std::vector<std::string>&) override {}
  std::string not_ready() const override { return problem; }
  std::vector<std::string> attached;
  std::string problem;  // why nothing can be attached
  std::string error;    // of an attachment
  std::function<void(const std::string& id)> on_detach;
  bool holds = false;  // answers wait in `held`
  std::vector<agent::Callback<std::vector<std::string>>> held;
};

class FakeVolumes final : public agent::PodVolumes {
 public:
  void set_up(const agent::PodRef&, agent::Callback<void> done) override {
    if (holds) return held.push_back(std::move(done));
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
  bool holds = false;  // answers wait in `held`
  std::vector<agent::Callback<void>> held;
};

class FakeConfigurer final : public agent::ContainerConfigurer {
 public:
  void configure(Input input, agent::Callback<runtime::ContainerConfig> done) override {
    if (!error.empty()) return done(make_error(Code::kInvalid, error));
    runtime::ContainerConfig config;
    config.name = input.container->name;
    config.attempt = input.attempt;
    config.pid_target = input.pid_target;
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
  void start(Target target, Verdict verdict) override {
    pod_ip = target.pod_ip;
    verdicts[target.container_id] = verdict;
  }
  void stop(const std::string& id) override { verdicts.erase(id); }
  std::map<std::string, Verdict> verdicts;
  std::string pod_ip;  // of the newest
};

class FakeHooks final : public agent::LifecycleHooks {
 public:
  void run(const agent::Prober::Target& target, const json::Value&, int64_t,
           agent::Callback<void> done) override {
    ran.push_back(target.container->name);
    if (holds) {
      held.push_back(std::move(done));
    } else if (!error.empty()) {
      done(make_error(Code::kInternalError, error));
    } else {
      done({});
    }
  }
  std::vector<std::string> ran;
  std::string error;
  bool holds = false;  // answers wait in `held`
  std::vector<agent::Callback<void>> held;
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
