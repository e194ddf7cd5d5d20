// Sandboxes: made with their shim, stopped through it, removed with all that belongs to them.
#include "base/format.h"
#include "base/log.h"
#include "runtime/image/files.h"
#include "runtime/native.h"
#include "runtime/native_stream.h"
#include "runtime/shim_container.h"

namespace knarr::runtime {

void NativeRuntime::create_sandbox(SandboxConfig config, Callback<SandboxStatus> done) {
  for (const auto& [id, sandbox] : sandboxes_) {
    const SandboxConfig& other = sandbox.record.config;
    if (sandbox.ready() && !config.pod_uid.empty() && other.pod_uid == config.pod_uid &&
        other.attempt == config.attempt) {
      return done(status(sandbox));
    }
  }
  SandboxRecord record;
  record.id = new_id();
  record.created_at_ns = wall_clock_ns();
  std::string parent = config.cgroup_parent.empty() ? "pod" + record.id : config.cgroup_parent;
  record.cgroup_path = std::string(kPodsGroup) + "/" + parent;
  if (config.ipc != NamespaceMode::kNode) record.shm_path = sandbox_folder(record.id) + "/shm";
  record.config = std::move(config);

  auto work = [record, folder = sandbox_folder(record.id), executable = options_.executable,
               cgroups = cgroups_]() -> Result<base::UniqueFd> {
    TRY(cgroups.create(record.cgroup_path, record.config.resources, false));
    return spawn_shim(executable, folder, record);
  };
  pool_->run<base::UniqueFd>(
      work, [this, record, done = std::move(done)](Result<base::UniqueFd> socket) {
        std::string id = record.id;
        sandboxes_[id].record = record;
        auto failed = [this, id, done](const Error& error) {
          remove_sandbox(id, [done, error](const Result<void>&) { done(error); });
        };
        if (!socket.ok()) return failed(socket.error());
        adopt_shim(id, std::move(*socket), [this, id, done, failed](const Result<void>& adopted) {
          if (!adopted.ok()) return failed(adopted.error());
          Sandbox* sandbox = find_sandbox(id);
          if (sandbox == nullptr) return done(make_error(Code::kCanceled, "sandbox was removed"));
          done(status(*sandbox));
        });
      });
}

// Greets a shim; from the answer on the sandbox is ready.
void NativeRuntime::adopt_shim(const std::string& id, base::UniqueFd socket, Callback<void> done) {
  Sandbox& sandbox = sandboxes_[id];
  sandbox.shim = std::make_shared<ShimClient>(loop_, std::move(socket));
  sandbox.shim->open([this](Message& message) { on_shim_event(message); },
                     [this, id] { on_shim_gone(id); });
  sandbox.shim->call("hello", Message(), [this, id, done = std::move(done)](Result<Message> reply) {
    Sandbox* sandbox = find_sandbox(id);
    if (!reply.ok()) return done(reply.error());
    if (sandbox != nullptr) sandbox->pid = static_cast<int>(reply->body["pid"].as_int());
    done({});
  });
}

std::vector<std::string> NativeRuntime::containers_of(const std::string& sandbox_id) const {
  std::vector<std::string> ids;
  for (const auto& [id, container] : containers_) {
    if (container.record.sandbox_id == sandbox_id) ids.push_back(id);
  }
  return ids;
}

// Normal after a stop. Otherwise somebody killed it: what it held has lost its parent, and goes.
void NativeRuntime::shim_ended(const std::string& id) {
  Sandbox* sandbox = find_sandbox(id);
  if (sandbox == nullptr) return;
  bool was_ready = sandbox->pid > 0;
  sandbox->pid = 0;
  sandbox->doubted = false;
  sandbox->patience.reset();
  std::vector<std::function<void()>> waiting = std::exchange(sandbox->on_gone, {});
  std::vector<std::function<void()>> sure = std::exchange(sandbox->when_sure, {});
  if (was_ready && waiting.empty()) {
    base::log(base::Level::kWarning, "runtime", "shim of sandbox {} ended unasked", id);
    kill_orphans(*sandbox);
  }
  end_execs(id, {});
  // Whoever is told may remove containers, and the sandbox.
  for (const std::string& container_id : containers_of(id)) {
    Container* container = find_container(container_id);
    if (container == nullptr || container->progress.state != ContainerState::kRunning) continue;
    ContainerProgress progress = container->progress;
    progress.state = ContainerState::kExited;
    progress.exit_code = 137;
    progress.finished_at_ns = wall_clock_ns();
    [[maybe_unused]] Result<void> written = write_file(
        container_folder(container_id) + "/exit.json", json::write(to_json(progress)), false);
    container_ended(*container, std::move(progress));
  }
  for (std::function<void()>& fn : waiting) fn();
  for (std::function<void()>& fn : sure) fn();
  if (was_ready && listener_ != nullptr) listener_->on_sandbox_exit(id);
}

// Container by container: a later sandbox of the same pod has its containers beside them.
void NativeRuntime::kill_orphans(const Sandbox& sandbox) {
  for (const auto& [id, container] : containers_) {
    if (container.record.sandbox_id != sandbox.record.id) continue;
    cgroups_.kill(sandbox.record.cgroup_path + "/" + id);
  }
}

// All but those that are known to run: their exit codes are lost.
void NativeRuntime::end_execs(const std::string& sandbox_id, const std::set<std::string>& running) {
  std::vector<std::string> ids;
  for (const auto& [exec_id, stream] : execs_) {
    if (running.contains(exec_id)) continue;
    Container* container = find_container(stream->container());
    if (container != nullptr && container->record.sandbox_id == sandbox_id) ids.push_back(exec_id);
  }
  for (const std::string& exec_id : ids) {
    auto found = execs_.find(exec_id);
    if (found != execs_.end()) found->second->process_exited(137);
  }
}

bool NativeRuntime::cgroup_in_use(const std::string& path) const {
  for (const auto& [id, sandbox] : sandboxes_) {
    if (sandbox.record.cgroup_path == path) return true;
  }
  return false;
}

void NativeRuntime::stop_sandbox(const std::string& id, Callback<void> done) {
  Sandbox* sandbox = find_sandbox(id);
  if (sandbox == nullptr || sandbox->shim == nullptr) return done({});
  if (!sandbox->shim->alive() && !sandbox->doubted) return done({});
  auto finish = [this, id, done = std::move(done)] {
    Sandbox* sandbox = find_sandbox(id);
    if (sandbox == nullptr) return done({});
    pool_->run<void>(
        [record = sandbox->record]() -> Result<void> {
          unmount_shm(record);
          return {};
        },
        done);
  };
  sandbox->on_gone.push_back(std::move(finish));
  if (sandbox->on_gone.size() > 1 || sandbox->doubted) return;  // or told when it is there again
  sandbox->shim->tell("shutdown", Message());
}

void NativeRuntime::remove_sandbox(const std::string& id, Callback<void> done) {
  if (find_sandbox(id) == nullptr) return done({});
  stop_sandbox(id, [this, id, done = std::move(done)](const Result<void>&) {
    std::vector<std::string> found = containers_of(id);
    std::deque<std::string> ids(found.begin(), found.end());
    remove_containers(std::move(ids), [this, id, done](const Result<void>& removed) {
      Sandbox* sandbox = find_sandbox(id);
      if (!removed.ok() || sandbox == nullptr) return done(removed);
      SandboxRecord record = sandbox->record;
      sandboxes_.erase(id);
      bool last = !cgroup_in_use(record.cgroup_path);
      pool_->run<void>(
          [record, last, folder = sandbox_folder(id), cgroups = cgroups_]() -> Result<void> {
            unmount_shm(record);
            if (last) cgroups.remove(record.cgroup_path);
            return remove_tree(folder);
          },
          done);
    });
  });
}

void NativeRuntime::remove_containers(std::deque<std::string> ids, Callback<void> done) {
  if (ids.empty()) return done({});
  std::string first = ids.front();
  ids.pop_front();
  remove_container(first, [this, ids = std::move(ids), done](const Result<void>& removed) {
    if (!removed.ok()) return done(removed);
    remove_containers(ids, done);
  });
}

}  // namespace knarr::runtime
