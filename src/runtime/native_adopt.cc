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
// ended.
void NativeRuntime::finish_list(Leftovers leftovers, Callback<Inventory> done) {
  for (auto& [record, progress] : leftovers.containers) {
    Container& container = containers_[record.id];
    container.record = std::move(record);
    container.progress = std::move(progress);
  }
  auto left = std::make_shared<size_t>(1);
  auto one_done = [this, left, done = std::move(done)] {
    if (--*left > 0) return;
    for (auto& [id, container] : containers_) {
      if (container.progress.state == ContainerState::kExited || shim_of(container)) continue;
      container.progress.state = ContainerState::kExited;
      container.progress.exit_code = 137;
      container.progress.finished_at_ns = wall_clock_ns();
    }
    sweep_snapshots();
    done(inventory());
  };
  for (Leftovers::Sandbox& sandbox : leftovers.sandboxes) {
    std::string id = sandbox.record.id;
    sandboxes_[id].record = std::move(sandbox.record);
    if (!sandbox.socket.valid()) {
      kill_orphans(sandboxes_[id]);
      continue;
    }
    ++*left;
    adopt_shim(id, std::move(sandbox.socket), [this, id, one_done](const Result<void>& adopted) {
      Sandbox* found = find_sandbox(id);
      if (!adopted.ok() || found == nullptr) return one_done();
      found->shim->call("list", Message(), [this, one_done](Result<Message> reply) {
        if (reply.ok()) {
          for (const json::Value& value : reply->body["containers"].elements()) {
            ContainerProgress progress;
            from_json(value, progress);
            Container* container = find_container(progress.id);
            if (container != nullptr) container->progress = std::move(progress);
          }
        }
        one_done();
      });
    });
  }
  one_done();
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

}  // namespace knarr::runtime
