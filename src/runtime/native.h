// The inside of the native runtime, shared by its files: native_runtime.cc (making it, images),
// native_sandbox.cc, native_container.cc, native_adopt.cc (what a restart finds), native_exec.cc.
//
//   <state>/boot_id                   of the boot the rest belongs to
//   <state>/sandboxes/<id>/           sandbox.json shim.sock shim.log shim.lock shm/
//   <state>/containers/<id>/          container.json exit.json; its root is mounted over this
//   folder,
//                                     in its own mount namespace only
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "runtime/cgroup.h"
#include "runtime/image/image_store.h"
#include "runtime/image/puller.h"
#include "runtime/image/snapshot.h"
#include "runtime/image/work_pool.h"
#include "runtime/native_runtime.h"
#include "runtime/shim_client.h"
#include "runtime/spec.h"

namespace knarr::runtime {

class ProcessStream;
class SyncExec;

inline constexpr char kPodsGroup[] = "kubepods";  // of all pods, below the cgroup root

// What a scan of the state directory found. Made on the pool.
struct Leftovers {
  struct Sandbox {
    SandboxRecord record;
    base::UniqueFd socket;  // invalid when its shim is gone
  };
  std::vector<Sandbox> sandboxes;
  std::vector<std::pair<ContainerRecord, ContainerProgress>> containers;
};

// Blocking parts, for the pool. native_spawn.cc, native_adopt.cc.
Result<base::UniqueFd> spawn_shim(const std::string& executable, const std::string& folder,
                                  const SandboxRecord& record);
// Invalid when nobody listens there: the shim has ended.
Result<base::UniqueFd> connect_shim(const std::string& folder);
// With SIGKILL, when it lives.
void kill_shim(const std::string& folder);
void unmount_shm(const SandboxRecord& record);
Result<Leftovers> scan_state(const std::string& state_dir);

class NativeRuntime final : public Runtime {
 public:
  NativeRuntime(base::Loop& loop, Random& random, ImageStore& images, SnapshotStore& snapshots,
                Puller& puller, NativeOptions options);
  ~NativeRuntime() override;

  std::string name() const override { return "knarr"; }
  std::string version() const override { return "0.1.0"; }
  void set_listener(EventListener* listener) override { listener_ = listener; }
  void list(Callback<Inventory> done) override;

  void create_sandbox(SandboxConfig config, Callback<SandboxStatus> done) override;
  void stop_sandbox(const std::string& id, Callback<void> done) override;
  void remove_sandbox(const std::string& id, Callback<void> done) override;

  void create_container(const std::string& sandbox_id, ContainerConfig config,
                        Callback<std::string> done) override;
  void start_container(const std::string& id, Callback<ContainerStatus> done) override;
  void stop_container(const std::string& id, int64_t grace_ms, Callback<void> done) override;
  void remove_container(const std::string& id, Callback<void> done) override;
  void update_resources(const std::string& id, Resources resources, Callback<void> done) override;
  void update_group(const std::string& group, Resources resources, Callback<void> done) override;
  void reopen_log(const std::string& id, Callback<void> done) override;
  void stats(const std::string& id, Callback<ContainerStats> done) override;
  void usage(Callback<UsageReport> done) override;

  void exec_sync(const std::string& id, std::vector<std::string> argv, int64_t timeout_ms,
                 Callback<ExecResult> done) override;
  void exec(const std::string& id, ExecOptions options, StreamListener& listener,
            Callback<std::unique_ptr<Stream>> done) override;
  void attach(const std::string& id, StreamListener& listener,
              Callback<std::unique_ptr<Stream>> done) override;
  void dial(const std::string& sandbox_id, uint16_t port, Callback<int> done) override;

  void pull_image(const std::string& ref, std::vector<RegistryAuth> auths,
                  Callback<std::string> done) override;
  void image_status(const std::string& ref, Callback<ImageSpec> done) override;
  void list_images(Callback<std::vector<ImageSpec>> done) override;
  void remove_image(const std::string& ref, Callback<void> done) override;
  void image_usage(Callback<FilesystemUsage> done) override;

 private:
  friend class ProcessStream;
  friend class SyncExec;

  struct Sandbox {
    SandboxRecord record;
    std::shared_ptr<ShimClient> shim;
    int pid = 0;           // of the shim
    bool doubted = false;  // the connection was lost: it is looked whether the shim was, too
    std::unique_ptr<Timer> patience;
    std::vector<std::function<void()>> on_gone;
    std::vector<std::function<void()>> when_sure;  // no longer doubted
    bool ready() const { return shim != nullptr && shim->alive() && pid > 0 && !doubted; }
  };
  struct Container {
    ContainerRecord record;
    ContainerProgress progress;
    bool starting = false;
    std::vector<std::function<void()>> on_exit;
    std::unique_ptr<Timer> grace;
  };

  std::string sandbox_folder(const std::string& id) const;
  std::string container_folder(const std::string& id) const;
  std::string new_id();
  Sandbox* find_sandbox(const std::string& id);
  Container* find_container(const std::string& id);
  SandboxStatus status(const Sandbox& sandbox) const;
  ContainerStatus status(const Container& container) const;
  void name_image(const ContainerConfig& config, ContainerStatus& status) const;
  // The shim of a container that runs; nullptr otherwise.
  std::shared_ptr<ShimClient> shim_of(const Container& container);

  void adopt_shim(const std::string& id, base::UniqueFd socket, Callback<void> done);
  void finish_list(Leftovers leftovers, Callback<Inventory> done);
  void sweep_snapshots();
  void sweep_groups(std::function<void()> done);
  Inventory inventory() const;
  void on_shim_event(Message& message);
  void on_shim_gone(const std::string& id);
  void look_again(const std::string& id);
  void catch_up(const std::string& id, const Message& list);
  void give_up_shim(const std::string& id);
  void shim_ended(const std::string& id);
  void kill_orphans(const Sandbox& sandbox);
  void end_execs(const std::string& sandbox_id, const std::set<std::string>& running);
  std::vector<std::string> containers_of(const std::string& sandbox_id) const;
  bool cgroup_in_use(const std::string& path) const;
  void container_ended(Container& container, ContainerProgress progress);
  Result<void> check_pid_target(const Sandbox& sandbox, const std::string& id);
  void launch(const std::string& id, LaunchSpec spec, std::string seccomp,
              Callback<ContainerStatus> done);
  void start_failed(const std::string& id, const Error& error, Callback<ContainerStatus> done);
  Result<std::string> seccomp_program(const SecurityContext& security, uint64_t capabilities);
  void remove_containers(std::deque<std::string> ids, Callback<void> done);
  void delete_container(const std::string& id, Callback<void> done);

  base::Loop& loop_;
  Random& random_;
  ImageStore& images_;
  SnapshotStore& snapshots_;
  Puller& puller_;
  const NativeOptions options_;
  const Cgroups cgroups_;
  EventListener* listener_ = nullptr;
  std::map<std::string, Sandbox> sandboxes_;
  std::map<std::string, Container> containers_;
  std::map<std::string, ProcessStream*> execs_;  // by exec id
  std::set<std::shared_ptr<SyncExec>> sync_execs_;
  std::set<ProcessStream*> attached_;
  std::mutex seccomp_mutex_;
  std::map<std::string, std::string> seccomp_cache_;            // guarded by seccomp_mutex_
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // late answers look at it
  std::unique_ptr<Timer> listing_;
  std::unique_ptr<WorkPool> pool_;
};

}  // namespace knarr::runtime
