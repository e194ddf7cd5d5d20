// What a restart of knarr finds: pods that went on without it, containers that ended meanwhile, and
// after a reboot nothing but files, which are swept away.
#include <dirent.h>

#include "base/file.h"
#include "base/log.h"
#include "runtime/image/files.h"
#include "runtime/native.h"
#include "runtime/shim_container.h"

namespace knarr::runtime {

namespace {

constexpr int64_t kPatience_ms = 10000;  // with a shim that is asked how it is

std::vector<std::string> entries(const std::string& folder) {
  std::vector<std::string> names;
  DIR* dir = opendir(folder.c_str());
  if (dir == nullptr) return names;
  while (dirent* entry = readdir(dir)) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  closedir(dir);
  return names;
}

template <typename T>
Result<T> read_record(const std::string& path) {
  TRY_ASSIGN(std::string text, base::read_file(path));
  return parse_record<T>(text);
}

// After a reboot the state is of processes and mounts that are gone.
Result<void> check_boot(const std::string& state_dir) {
  TRY(base::make_dirs(state_dir, 0700));
  Result<std::string> now = base::read_file("/proc/sys/kernel/random/boot_id");
  Result<std::string> then = base::read_file(state_dir + "/boot_id");
  std::string boot = now.ok() ? *now : "?";
  if (then.ok() && *then == boot) return {};
  TRY(remove_tree(state_dir + "/sandboxes"));
  TRY(remove_tree(state_dir + "/containers"));
  return write_file(state_dir + "/boot_id", boot, false);
}

}  // namespace

Result<Leftovers> scan_state(const std::string& state_dir) {
  TRY(check_boot(state_dir));
  Leftovers found;
  for (const std::string& id : entries(state_dir + "/sandboxes")) {
    std::string folder = state_dir + "/sandboxes/" + id;
    Result<SandboxRecord> record = read_record<SandboxRecord>(folder + "/sandbox.json");
    if (!record.ok()) {  // cut short while it was made
      [[maybe_unused]] Result<void> removed = remove_tree(folder);
      continue;
    }
    Result<base::UniqueFd> socket = connect_shim(folder);
    found.sandboxes.push_back(
        {std::move(*record), socket.ok() ? std::move(*socket) : base::UniqueFd()});
  }
  for (const std::string& id : entries(state_dir + "/containers")) {
    std::string folder = state_dir + "/containers/" + id;
    Result<ContainerRecord> record = read_record<ContainerRecord>(folder + "/container.json");
    if (!record.ok()) {
      [[maybe_unused]] Result<void> removed = remove_tree(folder);
      continue;
    }
    Result<ContainerProgress> exit = read_record<ContainerProgress>(folder + "/exit.json");
    ContainerProgress progress;
    progress.id = id;
    if (exit.ok()) progress = std::move(*exit);
    found.containers.emplace_back(std::move(*record), std::move(progress));
  }
  return found;
}

void NativeRuntime::list(Callback<Inventory> done) {
  snapshots_.open([this, alive = alive_, done = std::move(done)](const Result<void>& opened) {
    if (!*alive) return;
    if (!opened.ok()) return done(opened.error());
    pool_->run<Leftovers>([dir = options_.state_dir] { return scan_state(dir); },
                          [this, done](Result<Leftovers> leftovers) {
                            if (!leftovers.ok()) return done(leftovers.error());
                            finish_list(std::move(*leftovers), done);
                          });
  });
}

// Greets every shim that is there and asks it how its containers are; what no shim answers for has
// ended, and so has what a shim says nothing about in time.
void NativeRuntime::finish_list(Leftovers leftovers, Callback<Inventory> done) {
  for (auto& [record, progress] : leftovers.containers) {
    Container& container = containers_[record.id];
    container.record = std::move(record);
    container.progress = std::move(progress);
  }
  auto silent = std::make_shared<std::set<std::string>>();
  auto finish = std::make_shared<std::function<void()>>([this, silent, done = std::move(done)] {
    listing_.reset();
    for (const std::string& id : *silent) give_up_shim(id);
    for (auto& [id, container] : containers_) {
      if (container.progress.state == ContainerState::kExited || shim_of(container)) continue;
      container.progress.state = ContainerState::kExited;
      container.progress.exit_code = 137;
      container.progress.finished_at_ns = wall_clock_ns();
    }
    sweep_snapshots();
    sweep_groups([this, done] { done(inventory()); });
  });
  for (Leftovers::Sandbox& sandbox : leftovers.sandboxes) {
    std::string id = sandbox.record.id;
    sandboxes_[id].record = std::move(sandbox.record);
    if (!sandbox.socket.valid()) {
      kill_orphans(sandboxes_[id]);
      continue;
    }
    silent->insert(id);
    auto heard = [silent, finish, id](const Result<Message>&) {
      if (silent->erase(id) > 0 && silent->empty()) (*finish)();
    };
    adopt_shim(id, std::move(sandbox.socket), [this, id, heard](const Result<void>& adopted) {
      Sandbox* found = find_sandbox(id);
      if (!adopted.ok()) return heard(adopted.error());
      if (found == nullptr) return heard(Message());
      found->shim->call("list", Message(), [this, heard](Result<Message> reply) {
        if (!reply.ok()) return heard(reply);
        for (const json::Value& value : reply->body["containers"].elements()) {
          ContainerProgress progress;
          from_json(value, progress);
          Container* container = find_container(progress.id);
          if (container != nullptr) container->progress = std::move(progress);
        }
        heard(reply);
      });
    });
  }
  if (silent->empty()) return (*finish)();
  listing_ = loop_.timer([finish] { (*finish)(); });
  listing_->start(kPatience_ms);
}

// Groups of pods that nobody knows, with what may still run in them.
void NativeRuntime::sweep_groups(std::function<void()> done) {
  std::set<std::string> known;
  for (const auto& [id, sandbox] : sandboxes_) known.insert(sandbox.record.cgroup_path);
  pool_->run<void>(
      [cgroups = cgroups_, known]() -> Result<void> {
        for (const char* level : {"", "/burstable", "/besteffort"}) {
          std::string parent = std::string(kPodsGroup) + level;
          for (const std::string& name : cgroups.children(parent)) {
            std::string path = parent + "/" + name;
            if (name.starts_with("pod") && !known.contains(path)) cgroups.remove(path);
          }
        }
        return {};
      },
      [done = std::move(done)](const Result<void>&) { done(); });
}

// Root file systems of containers nobody knows: of before a reboot, or of a create cut short.
void NativeRuntime::sweep_snapshots() {
  for (const std::string& id : snapshots_.list()) {
    if (containers_.contains(id)) continue;
    snapshots_.remove(id, [id](const Result<void>& removed) {
      if (removed.ok()) return;
      base::log(base::Level::kWarning, "runtime", "leftover of container {}: {}", id,
                removed.error().message);
    });
  }
}

// A connection may be lost without the shim: it is asked again. Dead is what nobody listens for.
void NativeRuntime::on_shim_gone(const std::string& id) {
  Sandbox* sandbox = find_sandbox(id);
  if (sandbox == nullptr) return;
  if (sandbox->pid == 0 || sandbox->doubted) return shim_ended(id);
  sandbox->doubted = true;
  look_again(id);
}

void NativeRuntime::look_again(const std::string& id) {
  constexpr int64_t kRetry_ms = 1000;
  pool_->run<base::UniqueFd>(
      [folder = sandbox_folder(id)] { return connect_shim(folder); },
      [this, id](Result<base::UniqueFd> socket) {
        Sandbox* sandbox = find_sandbox(id);
        if (sandbox == nullptr || !sandbox->doubted) return;
        if (!socket.ok()) {  // this machine lacks something: of the shim it says nothing
          sandbox->patience = loop_.timer([this, id] { look_again(id); });
          sandbox->patience->start(kRetry_ms);
          return;
        }
        if (!socket->valid()) return shim_ended(id);
        sandbox->patience = loop_.timer([this, id] {
          give_up_shim(id);
          shim_ended(id);
        });
        sandbox->patience->start(kPatience_ms);
        adopt_shim(id, std::move(*socket), [this, id](const Result<void>& adopted) {
          if (!adopted.ok()) return;  // its end is told, too
          Sandbox* sandbox = find_sandbox(id);
          if (sandbox == nullptr) return;
          sandbox->shim->call("list", Message(), [this, id](Result<Message> reply) {
            if (reply.ok()) catch_up(id, *reply);
          });
        });
      });
}

// What happened while nobody listened to the shim.
void NativeRuntime::catch_up(const std::string& id, const Message& list) {
  Sandbox& sandbox = sandboxes_[id];
  sandbox.doubted = false;
  sandbox.patience.reset();
  std::map<std::string, ContainerProgress> told;
  for (const json::Value& value : list.body["containers"].elements()) {
    ContainerProgress progress;
    from_json(value, progress);
    told[progress.id] = std::move(progress);
  }
  std::set<std::string> running;
  for (const json::Value& exec : list.body["execs"].elements()) running.insert(exec.text());
  std::shared_ptr<ShimClient> shim = sandbox.shim;
  if (!sandbox.on_gone.empty()) shim->tell("shutdown", Message());
  end_execs(id, running);
  for (const std::string& container_id : containers_of(id)) {
    Container* container = find_container(container_id);
    auto found = told.find(container_id);
    if (container == nullptr || found == told.end()) continue;
    bool ended = container->progress.state == ContainerState::kExited;
    bool lives = found->second.state != ContainerState::kExited;
    // Its start was told to have failed, when the answer was lost.
    if (ended && lives) {
      Message kill;
      kill.body.set("id", container_id);
      shim->tell("kill", std::move(kill));
    }
    if (!ended && !lives) container_ended(*container, std::move(found->second));
  }
  Sandbox* still = find_sandbox(id);
  if (still == nullptr) return;
  for (std::function<void()>& fn : std::exchange(still->when_sure, {})) fn();
}

// It does not answer: as dead as one that has ended, and so are its containers.
void NativeRuntime::give_up_shim(const std::string& id) {
  Sandbox* sandbox = find_sandbox(id);
  if (sandbox == nullptr) return;
  base::log(base::Level::kWarning, "runtime", "shim of sandbox {} does not answer", id);
  if (sandbox->shim) sandbox->shim->close();
  kill_shim(sandbox_folder(id));
  kill_orphans(*sandbox);
}

}  // namespace knarr::runtime
