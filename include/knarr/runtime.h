// The seam between a node agent and whatever runs its containers: knarr's own runtime, an external
// OCI runtime, or a CRI server. The words are those of the CRI (runtime.v1).
//
// A pod is a sandbox (namespaces, a cgroup, a process that outlives knarr) and its containers.
// The network is not the runtime's: after create_sandbox the agent attaches addresses to `netns`.
// Every call is idempotent where the CRI says so (stop, remove, create of a name that exists).
// All calls and callbacks on the loop thread; work happens elsewhere.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "knarr/result.h"
#include "knarr/runtime_usage.h"

namespace knarr::runtime {

template <typename T>
using Callback = std::function<void(Result<T>)>;

enum class NamespaceMode { kPod, kNode, kContainer, kTarget };

// 0 or empty means "not set" throughout; a limit of -1 is lifted.
struct Resources {
  int64_t cpu_shares = 0;
  int64_t cpu_quota_us = 0;
  int64_t cpu_period_us = 0;
  int64_t memory_limit_bytes = 0;
  int64_t memory_swap_limit_bytes = 0;
  int64_t pids_limit = 0;
  int oom_score_adj = 0;
  std::map<std::string, std::string> unified;  // cgroup v2 files
  bool operator==(const Resources&) const = default;
};

struct SandboxConfig {
  std::string pod_uid;
  std::string pod_name;
  std::string pod_namespace;
  uint32_t attempt = 0;
  std::string hostname;
  std::string
      cgroup_parent;  // below the runtime's root: "burstable/pod<uid>"; empty: decided by it
  NamespaceMode network = NamespaceMode::kPod;
  NamespaceMode pid = NamespaceMode::kContainer;  // kPod: shareProcessNamespace
  NamespaceMode ipc = NamespaceMode::kPod;
  std::map<std::string, std::string> sysctls;
  Resources resources;  // of the pod's own cgroup
  std::map<std::string, std::string> labels;
  std::map<std::string, std::string> annotations;  // kept and given back, never read
};

struct SandboxStatus {
  std::string id;  // 64 hex digits
  SandboxConfig config;
  bool ready = false;  // its shim lives
  int64_t created_at_ns = 0;
  std::string netns;  // path that can be opened while ready; empty on the host network
};

struct Mount {
  enum class Propagation { kPrivate, kHostToContainer, kBidirectional };
  std::string host_path;
  std::string container_path;
  bool read_only = false;
  Propagation propagation = Propagation::kPrivate;
  bool recursive_read_only = false;  // with read_only: what is mounted below it, too
};

struct Device {
  std::string host_path;
  std::string container_path;
  std::string permissions;  // of "rwm"
};

struct SeccompProfile {
  enum class Type { kUnconfined, kRuntimeDefault, kLocalhost } type = Type::kRuntimeDefault;
  std::string localhost_path;
};

struct SecurityContext {
  // Unset (-1) falls back to the image's user.
  int64_t run_as_user = -1;
  int64_t run_as_group = -1;
  std::string run_as_username;
  std::vector<int64_t> supplemental_groups;
  bool strict_supplemental_groups = false;  // ignore the image's /etc/group
  bool privileged = false;
  bool read_only_root = false;
  bool no_new_privileges = false;
  bool unmasked_proc = false;
  std::vector<std::string> add_capabilities;  // "NET_ADMIN", "ALL"
  std::vector<std::string> drop_capabilities;
  SeccompProfile seccomp;
};

struct ContainerConfig {
  std::string name;
  uint32_t attempt = 0;
  std::string image_id;              // of an image that is present: "sha256:..."
  std::string image_ref;             // as the user wrote it
  std::vector<std::string> command;  // replaces the image's entrypoint when not empty
  std::vector<std::string> args;     // replaces the image's command when not empty
  std::string working_dir;
  std::vector<std::pair<std::string, std::string>> env;
  std::vector<Mount> mounts;
  std::vector<Device> devices;
  std::string log_path;       // absolute, CRI log format
  int64_t log_max_bytes = 0;  // then the runtime rotates it; 0: as it was told for all
  int log_max_files = 0;      // kept, the current one included
  bool stdin_open = false;
  bool stdin_once = false;
  bool tty = false;
  Resources resources;
  SecurityContext security;
  // The container whose processes it sees, and whose end is its own, where the sandbox has no pid
  // namespace for all. kInvalid when that one does not run.
  std::string pid_target;
  int stop_signal = 0;  // 0: the image's, else SIGTERM
  std::map<std::string, std::string> labels;
  std::map<std::string, std::string> annotations;
};

enum class ContainerState { kCreated, kRunning, kExited, kUnknown };

struct ContainerStatus {
  std::string id;  // 64 hex digits
  std::string sandbox_id;
  std::string name;
  uint32_t attempt = 0;
  ContainerState state = ContainerState::kUnknown;
  int pid = 0;  // on the host, while running
  int64_t created_at_ns = 0;
  int64_t started_at_ns = 0;
  int64_t finished_at_ns = 0;
  int exit_code = 0;   // 128 + signal when killed by one
  std::string reason;  // "Completed", "Error", "OOMKilled", "ContainerCannotRun"
  std::string message;
  std::string image_id;
  std::string image_ref;     // with its tag
  std::string image_digest;  // "name@sha256:..." where it came from a registry
  std::string log_path;
  Resources resources;
  std::map<std::string, std::string> labels;
  std::map<std::string, std::string> annotations;
};

struct ImageSpec {
  std::string id;  // "sha256:..." of the image config
  std::vector<std::string> repo_tags;
  std::vector<std::string> repo_digests;
  int64_t size_bytes = 0;
  std::string user;  // as in the image config: "", "uid", "name", "uid:gid"
};

struct RegistryAuth {
  std::string username;
  std::string password;
  std::string identity_token;
};

struct FilesystemUsage {
  std::string path;
  uint64_t used_bytes = 0;
  uint64_t inodes_used = 0;
};

// What a process in a container says and hears. The listener is called on the loop thread.
class StreamListener {
 public:
  virtual ~StreamListener() = default;
  virtual void on_stdout(std::string_view bytes) = 0;
  virtual void on_stderr(std::string_view bytes) = 0;
  virtual void on_exit(Result<int> exit_code) = 0;  // last call; of an attach: when the stream ends
};

// Destroying it detaches: the process of an exec is killed, that of an attach lives on.
class Stream {
 public:
  virtual ~Stream() = default;
  virtual void write_stdin(std::string_view bytes, std::function<void()> written) = 0;
  virtual void close_stdin() = 0;
  virtual void resize(uint16_t columns, uint16_t rows) = 0;
  // Back pressure: no on_stdout / on_stderr between pause and resume.
  virtual void pause() = 0;
  virtual void resume() = 0;
};

struct ExecOptions {
  std::vector<std::string> argv;
  bool stdin_open = false;
  bool stdout_open = true;
  bool stderr_open = true;
  bool tty = false;
};

struct ExecResult {
  int exit_code = 0;
  std::string output;  // stdout and stderr as they came, cut at 10 KiB: what a probe keeps
};

// Everything the runtime says unasked. Events may be lost over a restart of knarr: list() then.
class EventListener {
 public:
  virtual ~EventListener() = default;
  virtual void on_container_exit(const ContainerStatus& status) = 0;
  virtual void on_sandbox_exit(const std::string& sandbox_id) = 0;
};

struct Inventory {
  std::vector<SandboxStatus> sandboxes;
  std::vector<ContainerStatus> containers;
};

class Runtime {
 public:
  virtual ~Runtime() = default;

  virtual std::string name() const = 0;  // as in containerStatuses' id: "knarr", "containerd"
  virtual std::string version() const = 0;
  virtual void set_listener(EventListener* listener) = 0;

  // What exists now, adopted after a restart. Call once before the first create.
  virtual void list(Callback<Inventory> done) = 0;

  virtual void create_sandbox(SandboxConfig config, Callback<SandboxStatus> done) = 0;
  virtual void stop_sandbox(const std::string& id, Callback<void> done) = 0;  // kills what is left
  virtual void remove_sandbox(const std::string& id, Callback<void> done) = 0;

  // Error kInvalid with the words the kubelet shows (CreateContainerError) when the image or config
  // is wrong; start errors are RunContainerError / StartError texts.
  virtual void create_container(const std::string& sandbox_id, ContainerConfig config,
                                Callback<std::string> done) = 0;
  virtual void start_container(const std::string& id, Callback<ContainerStatus> done) = 0;
  // The stop signal, then SIGKILL after the grace period. Done when the container has exited.
  virtual void stop_container(const std::string& id, int64_t grace_ms, Callback<void> done) = 0;
  virtual void remove_container(const std::string& id, Callback<void> done) = 0;
  virtual void update_resources(const std::string& id, Resources resources,
                                Callback<void> done) = 0;
  // Of a cgroup above containers, made when absent: "" (all pods), "burstable", "besteffort", or a
  // sandbox's cgroup_parent. One call for a group at a time.
  virtual void update_group(const std::string& group, Resources resources, Callback<void> done) = 0;
  virtual void reopen_log(const std::string& id, Callback<void> done) = 0;
  // With the files that the container has written, which are looked through.
  virtual void stats(const std::string& id, Callback<ContainerStats> done) = 0;
  virtual void usage(Callback<UsageReport> done) = 0;

  // Runs to its end or to the timeout (0: none; then kTimeout, the process killed).
  virtual void exec_sync(const std::string& id, std::vector<std::string> argv, int64_t timeout_ms,
                         Callback<ExecResult> done) = 0;
  virtual void exec(const std::string& id, ExecOptions options, StreamListener& listener,
                    Callback<std::unique_ptr<Stream>> done) = 0;
  virtual void attach(const std::string& id, StreamListener& listener,
                      Callback<std::unique_ptr<Stream>> done) = 0;
  // A TCP connection to localhost:port inside the sandbox's network namespace: a connected,
  // non-blocking socket whose owner the caller becomes.
  virtual void dial(const std::string& sandbox_id, uint16_t port, Callback<int> done) = 0;

  // `ref` as the user wrote it. pull answers the image id. Errors carry the kubelet's words.
  virtual void pull_image(const std::string& ref, std::vector<RegistryAuth> auths,
                          Callback<std::string> done) = 0;
  // kNotFound when absent; kInvalid, with the message of reason InvalidImageName, when it is no
  // reference. Takes a reference or an id.
  virtual void image_status(const std::string& ref, Callback<ImageSpec> done) = 0;
  virtual void list_images(Callback<std::vector<ImageSpec>> done) = 0;
  virtual void remove_image(const std::string& ref, Callback<void> done) = 0;
  virtual void image_usage(Callback<FilesystemUsage> done) = 0;
};

}  // namespace knarr::runtime
