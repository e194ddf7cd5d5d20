#include "runtime/launch.h"

#include <linux/capability.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "base/ascii.h"
#include "base/format.h"
#include "runtime/capabilities.h"

namespace knarr::runtime {

namespace {

constexpr const char* kDefaultPath =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// The kubelet's list for procMount: Default.
constexpr const char* kMasked[] = {
    "/proc/asound",     "/proc/acpi",        "/proc/interrupts",
    "/proc/kcore",      "/proc/keys",        "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug",
    "/proc/scsi",       "/sys/firmware",     "/sys/devices/virtual/powercap"};
constexpr const char* kReadOnly[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                     "/proc/sysrq-trigger"};

void set_variable(std::vector<std::string>& env, const std::string& entry) {
  std::string prefix = entry.substr(0, entry.find('=')) + "=";
  for (std::string& existing : env) {
    if (existing.starts_with(prefix)) {
      existing = entry;
      return;
    }
  }
  env.push_back(entry);
}

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "";
}

// A folder of its own for each volume that the image declares and the pod does not provide.
std::vector<Mount> image_volumes(const ContainerConfig& config, const ImageConfig& image,
                                 const MountPlan& plan) {
  std::vector<Mount> mounts;
  for (size_t i = 0; i < image.volumes.size(); i++) {
    bool provided =
        std::any_of(config.mounts.begin(), config.mounts.end(),
                    [&](const Mount& mount) { return mount.container_path == image.volumes[i]; });
    if (!provided) mounts.push_back({plan.volume_folder(i), image.volumes[i]});
  }
  return mounts;
}

}  // namespace

Result<std::vector<std::string>> command_line(const ContainerConfig& config,
                                              const ImageConfig& image) {
  std::vector<std::string> line = config.command;
  std::vector<std::string> rest = config.args;
  if (line.empty()) {
    line = image.entrypoint;
    if (rest.empty()) rest = image.command;
  }
  line.insert(line.end(), rest.begin(), rest.end());
  if (line.empty()) return make_error(Code::kInvalid, "no command specified");
  return line;
}

std::vector<std::string> environment(const ContainerConfig& config, const ImageConfig& image,
                                     const std::string& hostname) {
  std::vector<std::string> env = {kDefaultPath, "HOSTNAME=" + hostname};
  if (config.tty) env.push_back("TERM=xterm");
  for (const std::string& entry : image.env) set_variable(env, entry);
  for (const auto& [name, value] : config.env) set_variable(env, name + "=" + value);
  return env;
}

Result<LaunchSpec> make_launch_spec(const LaunchInput& input) {
  const ContainerConfig& config = input.container.config;
  const SandboxRecord& sandbox = input.sandbox;
  LaunchSpec spec;
  spec.id = input.container.id;
  spec.folder = input.folder;
  spec.rootfs = json::write(input.plan.to_json());
  TRY_ASSIGN(spec.argv, command_line(config, input.image));
  bool host_network = sandbox.config.network == NamespaceMode::kNode;
  spec.hostname =
      host_network || sandbox.config.hostname.empty() ? host_name() : sandbox.config.hostname;
  spec.env = environment(config, input.image, spec.hostname);
  spec.cwd = !config.working_dir.empty()        ? config.working_dir
             : !input.image.working_dir.empty() ? input.image.working_dir
                                                : "/";
  spec.image_user = input.image.user;
  spec.security = config.security;
  TRY_ASSIGN(spec.capabilities,
             capability_set(config.security.privileged, config.security.add_capabilities,
                            config.security.drop_capabilities));
  if (!input.devices_limited && !config.security.privileged) {
    spec.capabilities &= ~(uint64_t{1} << CAP_MKNOD);
  }
  spec.mounts = config.mounts;
  spec.image_volumes = image_volumes(config, input.image, input.plan);
  spec.devices = config.devices;
  if (!config.security.privileged && !config.security.unmasked_proc) {
    spec.masked_paths.assign(std::begin(kMasked), std::end(kMasked));
    spec.read_only_paths.assign(std::begin(kReadOnly), std::end(kReadOnly));
  }
  spec.shm_path = sandbox.shm_path;
  std::string cgroup = sandbox.cgroup_path + "/" + spec.id;
  spec.cgroup_tasks = input.cgroups.tasks_files(cgroup);
  spec.cgroup_unified = input.cgroups.unified_folder(cgroup);
  if (access(spec.cgroup_unified.c_str(), W_OK) != 0) spec.cgroup_unified.clear();
  spec.cgroup_controllers = input.cgroups.shown_controllers();
  spec.memory_events = input.cgroups.memory_events_file(cgroup);
  spec.oom_score_adj = config.resources.oom_score_adj;
  spec.pid = sandbox.config.pid;
  if (!config.pid_target.empty() && spec.pid == NamespaceMode::kContainer) {
    spec.pid = NamespaceMode::kTarget;
    spec.pid_target = config.pid_target;
  }
  spec.tty = config.tty;
  spec.stdin_open = config.stdin_open;
  spec.stdin_once = config.stdin_once;
  spec.log_path = config.log_path;
  spec.log_max_bytes = config.log_max_bytes > 0 ? config.log_max_bytes : input.log_max_bytes;
  spec.log_max_files = config.log_max_files > 0 ? config.log_max_files : input.log_max_files;
  return spec;
}

int signal_number(const std::string& text) {
  if (text.empty()) return 0;
  if (isdigit(static_cast<unsigned char>(text[0])) != 0) return atoi(text.c_str());
  std::string name = base::upper(text);
  if (name.starts_with("SIG")) name.erase(0, 3);
  if (name.starts_with("RTMIN")) return SIGRTMIN + atoi(name.c_str() + 5);
  if (name.starts_with("RTMAX")) return SIGRTMAX + atoi(name.c_str() + 5);
  for (int number = 1; number < SIGRTMIN; number++) {
    const char* abbreviation = sigabbrev_np(number);
    if (abbreviation != nullptr && name == abbreviation) return number;
  }
  return 0;
}

std::string start_error_text(const std::string& cause) {
  return "failed to create containerd task: failed to create shim task: OCI runtime create failed: "
         "runc create failed: unable to start container process: error during container init: " +
         cause;
}

std::string exec_timeout_text(const std::vector<std::string>& argv, int64_t timeout_ms) {
  std::string line;
  for (const std::string& argument : argv) line += (line.empty() ? "" : " ") + argument;
  std::string quoted;
  json::append_quoted(quoted, line);
  int64_t seconds = timeout_ms / 1000;
  std::string span = seconds < 1    ? fmt::format("{}ms", timeout_ms)
                     : seconds < 60 ? fmt::format("{}s", seconds)
                                    : fmt::format("{}m{}s", seconds / 60, seconds % 60);
  return fmt::format("command timed out: {} timed out after {}", quoted, span);
}

std::string exec_error_text(const std::string& exec_id, const std::string& cause) {
  return fmt::format(
      "failed to exec in container: failed to start exec \"{}\": OCI runtime exec failed: exec "
      "failed: unable to start container process: {}",
      exec_id, cause);
}

}  // namespace knarr::runtime
