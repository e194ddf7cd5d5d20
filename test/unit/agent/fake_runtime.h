// A runtime whose containers live in a map, on a fake clock.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

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
    pid_targets[c.name] = config.pid_target;
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
    stats.usage.memory_usage_bytes = stats.usage.memory_working_set_bytes = memory_used;
    done(stats);
  }
  void usage(Done<runtime::UsageReport> done) override { done(used); }
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
  void pull_image(const std::string&, std::vector<runtime::RegistryAuth> auths,
                  Done<std::string> done) override {
    pulls++;
    bool let_in = password.empty() || (!auths.empty() && auths[0].password == password);
    if (!let_in) return done(make_error(Code::kForbidden, "not for you"));
    present = true;
    done(std::string("sha256:1"));
  }
  void image_status(const std::string&, Done<runtime::ImageSpec> done) override {
    if (!present) return done(make_error(Code::kNotFound, "no such image"));
    runtime::ImageSpec image;
    image.id = "sha256:1";
    done(image);
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
  std::map<std::string, std::string> pid_targets;  // by name
  std::string password;                            // that the registry wants; empty: none
  bool present = false;                            // the image of image_status
  int pulls = 0;
  std::map<std::string, int64_t> images;  // sizes by id
  std::vector<std::string> started, stopped;
  bool stubborn = false;             // containers heed no signal
  std::vector<std::string> updated;  // names of containers, "group"
  std::map<std::string, runtime::Resources> groups;
  uint64_t memory_used = 0;
  runtime::UsageReport used;
  std::string start_error, update_error;
  std::function<void(const runtime::ContainerStatus&)> on_exit;
  std::function<void(const std::string&)> on_sandbox_exit;

 private:
  FakeClock& clock_;
  runtime::EventListener* listener_ = nullptr;
  int ids_ = 0;
};

}  // namespace knarr::test
