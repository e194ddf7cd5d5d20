// What knarr and a shim tell each other, as plain values with a JSON form. JSON, because a newer
// knarr must understand the shims an older one left behind: members may be added, never given a
// new meaning.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "knarr/runtime.h"

namespace knarr::runtime {

// Whether a container's processes are in another pid namespace than other children of its shim.
inline bool has_other_pids(NamespaceMode pid) {
  return pid == NamespaceMode::kContainer || pid == NamespaceMode::kTarget;
}

// All a shim needs to start a container. The seccomp program travels beside it, as bytes.
struct LaunchSpec {
  std::string id;
  std::string folder;  // of the container's state; the root file system is mounted over it
  std::string rootfs;  // MountPlan as JSON text
  std::vector<std::string> argv;
  std::vector<std::string> env;  // "K=V"
  std::string cwd;
  std::string hostname;
  std::string image_user;
  SecurityContext security;
  uint64_t capabilities = 0;  // bit n is capability n
  std::vector<Mount> mounts;
  std::vector<Mount> image_volumes;  // begin as what the image has there
  std::vector<Device> devices;
  std::vector<std::string> masked_paths;
  std::vector<std::string> read_only_paths;
  std::string shm_path;                         // of the sandbox; empty: the host's
  std::vector<std::string> cgroup_tasks;        // v1: "tasks" files to join
  std::string cgroup_unified;                   // v2: the folder; empty where there is none
  std::vector<std::string> cgroup_controllers;  // v1: hierarchies to show, "cpu", "memory"
  std::string memory_events;  // the file whose oom_kill counter tells; empty: none
  int oom_score_adj = 0;
  NamespaceMode pid = NamespaceMode::kContainer;
  std::string pid_target;  // with kTarget: the container's id
  bool tty = false;
  bool stdin_open = false;
  bool stdin_once = false;
  std::string log_path;
  int64_t log_max_bytes = 0;
  int log_max_files = 0;
};

struct ExecSpec {
  std::string container;
  std::string id;
  std::vector<std::string> argv;
  bool tty = false;
};

// How far a container has come, as its shim knows it. Written to <folder>/exit.json at its end.
struct ContainerProgress {
  std::string id;
  ContainerState state = ContainerState::kCreated;
  int pid = 0;
  int64_t started_at_ns = 0;
  int64_t finished_at_ns = 0;
  int exit_code = 0;
  bool oom_killed = false;
  std::string error;  // why it could not start
};

// What knarr keeps of a container, in <folder>/container.json.
struct ContainerRecord {
  std::string id;
  std::string sandbox_id;
  int64_t created_at_ns = 0;
  ContainerConfig config;
};

struct SandboxRecord {
  std::string id;
  int64_t created_at_ns = 0;
  std::string cgroup_path;  // below the root: "kubepods/burstable/pod<uid>"
  std::string shm_path;     // empty: the host's
  SandboxConfig config;
};

json::Value to_json(const LaunchSpec& spec);
json::Value to_json(const ExecSpec& spec);
json::Value to_json(const ContainerProgress& progress);
json::Value to_json(const ContainerRecord& record);
json::Value to_json(const SandboxRecord& record);

// Forgiving: what is absent or of another kind keeps its default.
void from_json(const json::Value& value, LaunchSpec& spec);
void from_json(const json::Value& value, ExecSpec& spec);
void from_json(const json::Value& value, ContainerProgress& progress);
void from_json(const json::Value& value, ContainerRecord& record);
void from_json(const json::Value& value, SandboxRecord& record);

// A record from a file.
template <typename T>
Result<T> parse_record(std::string_view text) {
  TRY_ASSIGN(json::Value value, json::parse(text));
  T record;
  from_json(value, record);
  return record;
}

}  // namespace knarr::runtime
