// The lists of fields. A name in quotes is what shims and state files know: it stays.
#include "runtime/spec.h"

#include "runtime/fields.h"

namespace knarr::runtime {

template <typename V>
void fields(V& v, Like<Resources> auto& r) {
  v("cpuShares", r.cpu_shares);
  v("cpuQuota", r.cpu_quota_us);
  v("cpuPeriod", r.cpu_period_us);
  v("memory", r.memory_limit_bytes);
  v("memorySwap", r.memory_swap_limit_bytes);
  v("pids", r.pids_limit);
  v("oomScoreAdj", r.oom_score_adj);
  v("unified", r.unified);
}

template <typename V>
void fields(V& v, Like<Mount> auto& m) {
  v("host", m.host_path);
  v("container", m.container_path);
  v("readOnly", m.read_only);
  v("propagation", m.propagation);
  v("recursiveReadOnly", m.recursive_read_only);
}

template <typename V>
void fields(V& v, Like<Device> auto& d) {
  v("host", d.host_path);
  v("container", d.container_path);
  v("permissions", d.permissions);
}

template <typename V>
void fields(V& v, Like<SeccompProfile> auto& p) {
  v("type", p.type);
  v("path", p.localhost_path);
}

template <typename V>
void fields(V& v, Like<SecurityContext> auto& s) {
  v("user", s.run_as_user);
  v("group", s.run_as_group);
  v("username", s.run_as_username);
  v("groups", s.supplemental_groups);
  v("strictGroups", s.strict_supplemental_groups);
  v("privileged", s.privileged);
  v("readOnlyRoot", s.read_only_root);
  v("noNewPrivileges", s.no_new_privileges);
  v("unmaskedProc", s.unmasked_proc);
  v("addCapabilities", s.add_capabilities);
  v("dropCapabilities", s.drop_capabilities);
  v("seccomp", s.seccomp);
}

template <typename V>
void fields(V& v, Like<SandboxConfig> auto& c) {
  v("podUid", c.pod_uid);
  v("podName", c.pod_name);
  v("podNamespace", c.pod_namespace);
  v("attempt", c.attempt);
  v("hostname", c.hostname);
  v("cgroupParent", c.cgroup_parent);
  v("network", c.network);
  v("pid", c.pid);
  v("ipc", c.ipc);
  v("sysctls", c.sysctls);
  v("resources", c.resources);
  v("labels", c.labels);
  v("annotations", c.annotations);
}

template <typename V>
void fields(V& v, Like<ContainerConfig> auto& c) {
  v("name", c.name);
  v("attempt", c.attempt);
  v("imageId", c.image_id);
  v("imageRef", c.image_ref);
  v("command", c.command);
  v("args", c.args);
  v("cwd", c.working_dir);
  v("env", c.env);
  v("mounts", c.mounts);
  v("devices", c.devices);
  v("log", c.log_path);
  v("logMaxBytes", c.log_max_bytes);
  v("logMaxFiles", c.log_max_files);
  v("stdin", c.stdin_open);
  v("stdinOnce", c.stdin_once);
  v("tty", c.tty);
  v("resources", c.resources);
  v("security", c.security);
  v("pidTarget", c.pid_target);
  v("stopSignal", c.stop_signal);
  v("labels", c.labels);
  v("annotations", c.annotations);
}

template <typename V>
void fields(V& v, Like<LaunchSpec> auto& s) {
  v("id", s.id);
  v("folder", s.folder);
  v("rootfs", s.rootfs);
  v("argv", s.argv);
  v("env", s.env);
  v("cwd", s.cwd);
  v("hostname", s.hostname);
  v("imageUser", s.image_user);
  v("security", s.security);
  v("capabilities", s.capabilities);
  v("mounts", s.mounts);
  v("imageVolumes", s.image_volumes);
  v("devices", s.devices);
  v("maskedPaths", s.masked_paths);
  v("readOnlyPaths", s.read_only_paths);
  v("shm", s.shm_path);
  v("cgroupTasks", s.cgroup_tasks);
  v("cgroupUnified", s.cgroup_unified);
  v("cgroupControllers", s.cgroup_controllers);
  v("memoryEvents", s.memory_events);
  v("oomScoreAdj", s.oom_score_adj);
  v("pid", s.pid);
  v("pidTarget", s.pid_target);
  v("tty", s.tty);
  v("stdin", s.stdin_open);
  v("stdinOnce", s.stdin_once);
  v("log", s.log_path);
  v("logMaxBytes", s.log_max_bytes);
  v("logMaxFiles", s.log_max_files);
}

template <typename V>
void fields(V& v, Like<ExecSpec> auto& s) {
  v("container", s.container);
  v("id", s.id);
  v("argv", s.argv);
  v("tty", s.tty);
}

template <typename V>
void fields(V& v, Like<ContainerProgress> auto& p) {
  v("id", p.id);
  v("state", p.state);
  v("pid", p.pid);
  v("startedAt", p.started_at_ns);
  v("finishedAt", p.finished_at_ns);
  v("exitCode", p.exit_code);
  v("oomKilled", p.oom_killed);
  v("error", p.error);
}

template <typename V>
void fields(V& v, Like<ContainerRecord> auto& r) {
  v("id", r.id);
  v("sandbox", r.sandbox_id);
  v("createdAt", r.created_at_ns);
  v("config", r.config);
}

template <typename V>
void fields(V& v, Like<SandboxRecord> auto& r) {
  v("id", r.id);
  v("createdAt", r.created_at_ns);
  v("cgroup", r.cgroup_path);
  v("shm", r.shm_path);
  v("config", r.config);
}

json::Value to_json(const LaunchSpec& spec) { return FieldWriter::convert(spec); }
json::Value to_json(const ExecSpec& spec) { return FieldWriter::convert(spec); }
json::Value to_json(const ContainerProgress& p) { return FieldWriter::convert(p); }
json::Value to_json(const ContainerRecord& record) { return FieldWriter::convert(record); }
json::Value to_json(const SandboxRecord& record) { return FieldWriter::convert(record); }

void from_json(const json::Value& value, LaunchSpec& spec) { FieldReader::read(value, spec); }
void from_json(const json::Value& value, ExecSpec& spec) { FieldReader::read(value, spec); }
void from_json(const json::Value& value, ContainerProgress& p) { FieldReader::read(value, p); }
void from_json(const json::Value& value, ContainerRecord& r) { FieldReader::read(value, r); }
void from_json(const json::Value& value, SandboxRecord& r) { FieldReader::read(value, r); }

}  // namespace knarr::runtime
