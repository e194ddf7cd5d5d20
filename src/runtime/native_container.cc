// Containers: from an image and a config to a process, and to its end.
#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/file.h"
#include "base/format.h"
#include "runtime/capabilities.h"
#include "runtime/cgroup_usage.h"
#include "runtime/image/files.h"
#include "runtime/launch.h"
#include "runtime/native.h"
#include "runtime/native_stream.h"
#include "runtime/seccomp.h"
#include "runtime/shim_container.h"

namespace knarr::runtime {

namespace {

Error no_container(const std::string& id) {
  return make_error(Code::kNotFound, fmt::format("container \"{}\" not found", id));
}

Message about(const std::string& id) {
  Message message;
  message.body.set("id", id);
  return message;
}

// Privileged containers may use every device. Answers whether all others are kept from those that
// are not theirs.
Result<bool> make_cgroup(const Cgroups& cgroups, const std::string& path,
                         const ContainerConfig& config) {
  TRY(cgroups.create(path, config.resources, true));
  if (config.security.privileged) return true;
  std::vector<DeviceRule> own;
  for (const Device& device : config.devices) {
    struct stat info;
    if (stat(device.host_path.c_str(), &info) != 0) return errno_error(errno, device.host_path);
    own.push_back({S_ISBLK(info.st_mode) ? 'b' : 'c', static_cast<int64_t>(major(info.st_rdev)),
                   static_cast<int64_t>(minor(info.st_rdev)),
                   device.permissions.empty() ? "rwm" : device.permissions});
  }
  return cgroups.limit_devices(path, device_rules(own));
}

}  // namespace

Result<void> NativeRuntime::check_pid_target(const Sandbox& sandbox, const std::string& id) {
  if (id.empty()) return {};
  const Container* target = find_container(id);
  if (target != nullptr && target->record.sandbox_id == sandbox.record.id &&
      target->progress.state == ContainerState::kRunning) {
    return {};
  }
  return make_error(Code::kInvalid,
                    fmt::format("invalid target container: container \"{}\" is not running", id));
}

void NativeRuntime::create_container(const std::string& sandbox_id, ContainerConfig config,
                                     Callback<std::string> done) {
  Sandbox* sandbox = find_sandbox(sandbox_id);
  if (sandbox == nullptr || !sandbox->ready()) {
    return done(
        make_error(Code::kNotFound, fmt::format("sandbox \"{}\" is not ready", sandbox_id)));
  }
  for (const auto& [id, container] : containers_) {
    const ContainerConfig& other = container.record.config;
    if (container.record.sandbox_id == sandbox_id && other.name == config.name &&
        other.attempt == config.attempt) {
      return done(id);
    }
  }
  ImageRef image = images_.find(config.image_id);
  if (image == nullptr) {
    return done(make_error(Code::kInvalid, fmt::format("image \"{}\" not found", config.image_id)));
  }
  if (Result<std::vector<std::string>> line = command_line(config, image->config); !line.ok()) {
    return done(line.error());
  }
  if (Result<uint64_t> set = capability_set(false, config.security.add_capabilities,
                                            config.security.drop_capabilities);
      !set.ok()) {
    return done(set.error());
  }
  if (Result<void> target = check_pid_target(*sandbox, config.pid_target); !target.ok()) {
    return done(target.error());
  }
  ContainerRecord record{new_id(), sandbox_id, wall_clock_ns(), std::move(config)};
  containers_[record.id].record = record;
  containers_[record.id].progress.id = record.id;
  auto failed = [this, id = record.id, done](const Error& error) {
    delete_container(id, [done, error](const Result<void>&) { done(error); });
  };
  snapshots_.prepare(record.id, image->id,
                     [this, alive = alive_, record, done, failed](const Result<MountPlan>& plan) {
                       if (!*alive) return;
                       if (!plan.ok()) return failed(plan.error());
                       pool_->run<void>(
                           [record, folder = container_folder(record.id)]() -> Result<void> {
                             TRY(base::make_dirs(folder, 0700));
                             return write_file(folder + "/container.json",
                                               json::write(to_json(record)), false);
                           },
                           [record, done, failed](const Result<void>& written) {
                             if (!written.ok()) return failed(written.error());
                             done(record.id);
                           });
                     });
}

Result<std::string> NativeRuntime::seccomp_program(const SecurityContext& security,
                                                   uint64_t capabilities) {
  const SeccompProfile& profile = security.seccomp;
  if (security.privileged || profile.type == SeccompProfile::Type::kUnconfined)
    return std::string();
  std::lock_guard<std::mutex> lock(seccomp_mutex_);
  if (profile.type == SeccompProfile::Type::kRuntimeDefault) {
    std::string& program = seccomp_cache_[fmt::format("{:x}", capabilities)];
    if (program.empty()) {
      TRY_ASSIGN(program, compile_seccomp(default_seccomp(capabilities)));
    }
    return program;
  }
  std::string path = profile.localhost_path;
  if (!path.starts_with('/')) path = options_.seccomp_profile_dir + "/" + path;
  TRY_ASSIGN(std::string text, base::read_file(path));
  TRY_ASSIGN(SeccompRules rules, parse_seccomp(text));
  return compile_seccomp(rules);
}

void NativeRuntime::start_container(const std::string& id, Callback<ContainerStatus> done) {
  Container* container = find_container(id);
  if (container == nullptr) return done(no_container(id));
  if (container->progress.state == ContainerState::kRunning) return done(status(*container));
  if (container->progress.state != ContainerState::kCreated || container->starting) {
    return done(
        make_error(Code::kConflict, fmt::format("container \"{}\" was started before", id)));
  }
  Sandbox* sandbox = find_sandbox(container->record.sandbox_id);
  ImageRef image = images_.find(container->record.config.image_id);
  const MountPlan* plan = snapshots_.find(id);
  if (sandbox == nullptr || !sandbox->ready() || plan == nullptr || image == nullptr) {
    return done(
        make_error(Code::kNotFound, fmt::format("sandbox of container \"{}\" is not ready", id)));
  }
  container->starting = true;
  struct Launch {
    LaunchSpec spec;
    std::string seccomp;
  };
  auto work = [this, sandbox = sandbox->record, container = container->record, image, plan = *plan,
               folder = container_folder(id)]() -> Result<Launch> {
    const std::string& log = container.config.log_path;
    if (size_t slash = log.rfind('/'); slash != std::string::npos && slash > 0) {
      TRY(base::make_dirs(log.substr(0, slash)));
    }
    TRY_ASSIGN(bool devices_limited,
               make_cgroup(cgroups_, sandbox.cgroup_path + "/" + container.id, container.config));
    Launch launch;
    TRY_ASSIGN(launch.spec, make_launch_spec(LaunchInput{sandbox, container, image->config, plan,
                                                         cgroups_, folder, options_.log_max_bytes,
                                                         options_.log_max_files, devices_limited}));
    TRY_ASSIGN(launch.seccomp,
               seccomp_program(container.config.security, launch.spec.capabilities));
    return launch;
  };
  pool_->run<Launch>(work, [this, id, done = std::move(done)](Result<Launch> launch_result) {
    if (!launch_result.ok()) return start_failed(id, launch_result.error(), done);
    launch(id, std::move(launch_result->spec), std::move(launch_result->seccomp), done);
  });
}

void NativeRuntime::launch(const std::string& id, LaunchSpec spec, std::string seccomp,
                           Callback<ContainerStatus> done) {
  Container* container = find_container(id);
  std::shared_ptr<ShimClient> shim = container == nullptr ? nullptr : shim_of(*container);
  if (shim == nullptr) {
    return start_failed(id, make_error(Code::kNotFound, "the sandbox is gone"), done);
  }
  Message message;
  message.body.set("spec", to_json(spec));
  message.blob = std::move(seccomp);
  const char* op = spec.pid == NamespaceMode::kTarget ? "start_beside" : "start";
  shim->call(op, std::move(message), [this, id, done = std::move(done)](Result<Message> reply) {
    if (!reply.ok()) return start_failed(id, reply.error(), done);
    Container* container = find_container(id);
    if (container == nullptr) return done(no_container(id));
    container->starting = false;
    ContainerProgress progress;
    from_json(reply->body["container"], progress);
    // A very short one has ended by now. It is told as running first: its end is an
    // event.
    if (progress.state == ContainerState::kExited) progress.state = ContainerState::kRunning;
    container->progress = std::move(progress);
    done(status(*container));
  });
}

void NativeRuntime::start_failed(const std::string& id, const Error& error,
                                 Callback<ContainerStatus> done) {
  Container* container = find_container(id);
  if (container == nullptr) return done(error);
  ContainerProgress progress;
  progress.id = id;
  progress.state = ContainerState::kExited;
  progress.exit_code = 128;
  progress.finished_at_ns = wall_clock_ns();
  progress.error = error.message;
  container->starting = false;
  Error told = make_error(error.code, start_error_text(error.message));
  std::string text = json::write(to_json(progress));
  container_ended(*container, std::move(progress));
  pool_->run<void>(
      [path = container_folder(id) + "/exit.json", text] { return write_file(path, text, false); },
      [done, told](const Result<void>&) { done(told); });
}

// Whoever waits for the end is told; the listener only of what had been running.
void NativeRuntime::container_ended(Container& container, ContainerProgress progress) {
  bool was_running = container.progress.state == ContainerState::kRunning;
  container.progress = std::move(progress);
  container.grace.reset();
  ContainerStatus ended = status(container);
  std::vector<std::function<void()>> waiting = std::exchange(container.on_exit, {});
  for (ProcessStream* stream : std::set<ProcessStream*>(attached_)) {
    if (attached_.contains(stream)) stream->container_exited(ended.id, ended.exit_code);
  }
  for (std::function<void()>& fn : waiting) fn();
  if (was_running && listener_ != nullptr) listener_->on_container_exit(ended);
}

void NativeRuntime::on_shim_event(Message& message) {
  if (message.body["op"].as_string() == "exec_exit") {
    auto found = execs_.find(message.body["id"].text());
    if (found != execs_.end()) {
      found->second->process_exited(static_cast<int>(message.body["code"].as_int()));
    }
    return;
  }
  if (message.body["op"].as_string() != "exit") return;
  ContainerProgress progress;
  from_json(message.body["container"], progress);
  Container* container = find_container(progress.id);
  if (container == nullptr || container->progress.state == ContainerState::kExited) return;
  container_ended(*container, std::move(progress));
}

void NativeRuntime::stop_container(const std::string& id, int64_t grace_ms, Callback<void> done) {
  Container* container = find_container(id);
  if (container == nullptr || container->progress.state != ContainerState::kRunning)
    return done({});
  if (Sandbox* sandbox = find_sandbox(container->record.sandbox_id); sandbox && sandbox->doubted) {
    sandbox->when_sure.push_back(
        [this, id, grace_ms, done = std::move(done)] { stop_container(id, grace_ms, done); });
    return;
  }
  std::shared_ptr<ShimClient> shim = shim_of(*container);
  if (shim == nullptr) return done({});
  container->on_exit.push_back([done = std::move(done)] { done({}); });
  if (grace_ms <= 0) {
    shim->tell("kill", about(id));
    return;
  }
  int signal = container->record.config.stop_signal;
  if (signal == 0) {
    ImageRef image = images_.find(container->record.config.image_id);
    if (image != nullptr) signal = signal_number(image->config.stop_signal);
  }
  Message message = about(id);
  message.body.set("signal", static_cast<int64_t>(signal == 0 ? SIGTERM : signal));
  shim->tell("signal", std::move(message));
  // A second stop may only shorten the wait.
  container->grace = loop_.timer([this, id] {
    Container* container = find_container(id);
    std::shared_ptr<ShimClient> shim = container == nullptr ? nullptr : shim_of(*container);
    if (shim != nullptr) shim->tell("kill", about(id));
  });
  container->grace->start(grace_ms);
}

void NativeRuntime::remove_container(const std::string& id, Callback<void> done) {
  Container* container = find_container(id);
  if (container == nullptr) return done({});
  stop_container(id, 0, [this, id, done = std::move(done)](const Result<void>&) {
    delete_container(id, done);
  });
}

void NativeRuntime::delete_container(const std::string& id, Callback<void> done) {
  Container* container = find_container(id);
  if (container == nullptr) return done({});
  if (std::shared_ptr<ShimClient> shim = shim_of(*container)) shim->tell("forget", about(id));
  Sandbox* sandbox = find_sandbox(container->record.sandbox_id);
  std::string cgroup = sandbox == nullptr ? "" : sandbox->record.cgroup_path + "/" + id;
  containers_.erase(id);
  auto work = [folder = container_folder(id), cgroup, cgroups = cgroups_]() -> Result<void> {
    if (!cgroup.empty()) cgroups.remove(cgroup);
    return remove_tree(folder);
  };
  pool_->run<void>(work, [this, id, done = std::move(done)](const Result<void>& removed) {
    if (!removed.ok()) return done(removed);
    snapshots_.remove(id, [alive = alive_, done](const Result<void>& result) {
      if (*alive) done(result);
    });
  });
}

void NativeRuntime::update_resources(const std::string& id, Resources resources,
                                     Callback<void> done) {
  Container* container = find_container(id);
  if (container == nullptr) return done(no_container(id));
  Sandbox* sandbox = find_sandbox(container->record.sandbox_id);
  if (sandbox == nullptr) return done(no_container(id));
  container->record.config.resources = resources;
  std::string path = sandbox->record.cgroup_path + "/" + id;
  bool running = container->progress.state == ContainerState::kRunning;
  pool_->run<void>(
      [cgroups = cgroups_, path, resources, running, record = container->record,
       folder = container_folder(id)]() -> Result<void> {
        if (running) TRY(cgroups.update(path, resources));
        return write_file(folder + "/container.json", json::write(to_json(record)), false);
      },
      std::move(done));
}

void NativeRuntime::update_group(const std::string& group, Resources resources,
                                 Callback<void> done) {
  std::string path = group.empty() ? kPodsGroup : std::string(kPodsGroup) + "/" + group;
  pool_->run<void>(
      [cgroups = cgroups_, path, resources] { return cgroups.create(path, resources, false); },
      std::move(done));
}

void NativeRuntime::reopen_log(const std::string& id, Callback<void> done) {
  Container* container = find_container(id);
  if (container == nullptr) return done(no_container(id));
  std::shared_ptr<ShimClient> shim = shim_of(*container);
  if (shim == nullptr || container->progress.state != ContainerState::kRunning) {
    return done(make_error(Code::kNotFound, "container is not running"));
  }
  shim->call("reopen_log", about(id), [done = std::move(done)](const Result<Message>& reply) {
    if (!reply.ok()) return done(reply.error());
    done({});
  });
}

void NativeRuntime::stats(const std::string& id, Callback<ContainerStats> done) {
  Container* container = find_container(id);
  Sandbox* sandbox = container == nullptr ? nullptr : find_sandbox(container->record.sandbox_id);
  if (sandbox == nullptr) return done(no_container(id));
  std::string path = sandbox->record.cgroup_path + "/" + id;
  pool_->run<ContainerStats>(
      [cgroups = cgroups_, path, id]() -> Result<ContainerStats> {
        ContainerStats stats;
        stats.container_id = id;
        stats.usage = cgroups.usage(path);
        return stats;
      },
      [this, id, done = std::move(done)](Result<ContainerStats> stats) {
        snapshots_.usage(id,
                         [alive = alive_, done, stats](const Result<SnapshotUsage>& usage) mutable {
                           if (!*alive) return;
                           if (usage.ok()) {
                             stats->rootfs_used_bytes = usage->used_bytes;
                             stats->rootfs_inodes_used = usage->inodes_used;
                           }
                           done(std::move(stats));
                         });
      });
}

void NativeRuntime::usage(Callback<UsageReport> done) {
  struct Wanted {
    std::string id, group;
    int pid = 0;  // in its own network; 0: it has none
    std::vector<std::string> containers;
  };
  std::vector<Wanted> wanted;
  for (const auto& [id, sandbox] : sandboxes_) {
    if (!sandbox.ready()) continue;
    Wanted w{id, sandbox.record.cgroup_path, 0, {}};
    if (sandbox.record.config.network == NamespaceMode::kPod) w.pid = sandbox.pid;
    for (const std::string& container : containers_of(id)) {
      const Container* c = find_container(container);
      if (c->progress.state == ContainerState::kRunning) w.containers.push_back(container);
    }
    wanted.push_back(std::move(w));
  }
  auto interfaces = [](const std::string& process) {
    auto text = base::read_file("/proc/" + process + "/net/dev");
    return text.ok() ? interface_usage(*text) : std::vector<InterfaceUsage>();
  };
  pool_->run<UsageReport>(
      [cgroups = cgroups_, interfaces, wanted = std::move(wanted)]() -> Result<UsageReport> {
        UsageReport report;
        report.all = cgroups.usage(kPodsGroup);
        report.interfaces = interfaces("self");
        for (const Wanted& w : wanted) {
          SandboxUsage usage;
          usage.sandbox_id = w.id;
          usage.usage = cgroups.usage(w.group);
          for (const std::string& c : w.containers) {
            usage.containers[c] = cgroups.usage(w.group + "/" + c);
          }
          if (w.pid != 0) usage.interfaces = interfaces(std::to_string(w.pid));
          report.sandboxes.push_back(std::move(usage));
        }
        return report;
      },
      std::move(done));
}

}  // namespace knarr::runtime
