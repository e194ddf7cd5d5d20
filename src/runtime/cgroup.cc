#include "runtime/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <fstream>
#include <mutex>
#include <set>

#include "base/file.h"
#include "base/log.h"
#include "base/unique_fd.h"
#include "runtime/cgroup_usage.h"
#include "runtime/image/user_namespace.h"

namespace knarr::runtime {

namespace {

constexpr std::string_view kControllers[] = {"cpu", "cpuacct", "memory", "pids", "devices"};

// Once a file name: a missing controller is missing for every container.
void log_once(const std::string& file, const Error& error) {
  static std::mutex mutex;
  static std::set<std::string> said;
  std::lock_guard<std::mutex> lock(mutex);
  if (!said.insert(file.substr(file.rfind('/') + 1)).second) return;
  base::log(base::Level::kWarning, "runtime", "cgroup: going on without: {}", error.message);
}

Result<void> write_value(const std::string& file, const std::string& value) {
  base::UniqueFd fd(open(file.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid()) return errno_error(errno, "open " + file);
  if (write(fd.get(), value.data(), value.size()) < 0) {
    return errno_error(errno, "write " + value + " to " + file);
  }
  return {};
}

std::vector<std::string> split_by(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

bool make_path(const std::string& path) {
  if (mkdir(path.c_str(), 0755) == 0 || errno == EEXIST) return true;
  if (errno != ENOENT) return false;
  size_t slash = path.rfind('/');
  return slash != 0 && slash != std::string::npos && make_path(path.substr(0, slash)) &&
         (mkdir(path.c_str(), 0755) == 0 || errno == EEXIST);
}

std::vector<std::string> subfolders(const std::string& folder) {
  std::vector<std::string> found;
  DIR* dir = opendir(folder.c_str());
  if (dir == nullptr) return found;
  while (dirent* entry = readdir(dir)) {
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.') found.emplace_back(entry->d_name);
  }
  closedir(dir);
  return found;
}

void kill_members(const std::string& folder) {
  for (const std::string& name : subfolders(folder)) kill_members(folder + "/" + name);
  std::ifstream file(folder + "/cgroup.procs");
  for (int pid; file >> pid;) {
    if (pid > 0 && pid != getpid()) ::kill(pid, SIGKILL);
  }
}

// A killed process leaves its group a moment later; nothing tells when on v1, so it is tried again
// for a bounded time.
void remove_folder(const std::string& folder) {
  for (const std::string& name : subfolders(folder)) remove_folder(folder + "/" + name);
  for (int attempt = 0; attempt < 200; attempt++) {
    if (rmdir(folder.c_str()) == 0 || errno != EBUSY) return;
    poll(nullptr, 0, 5);
  }
  base::log(base::Level::kWarning, "runtime", "cgroup {} stays busy", folder);
}

bool attach_device_program(const std::string& folder, const std::vector<DeviceRule>& rules) {
  std::vector<uint64_t> code = device_program(rules);
  bpf_attr load{};
  load.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  load.insns = reinterpret_cast<uint64_t>(code.data());
  load.insn_cnt = static_cast<uint32_t>(code.size());
  load.license = reinterpret_cast<uint64_t>("Apache-2.0");
  base::UniqueFd program(static_cast<int>(syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load)));
  base::UniqueFd group(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  bpf_attr attach{};
  attach.target_fd = static_cast<uint32_t>(group.get());
  attach.attach_bpf_fd = static_cast<uint32_t>(program.get());
  attach.attach_type = BPF_CGROUP_DEVICE;
  if (!program.valid() || !group.valid() ||
      syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof attach) != 0) {
    log_once("device program", errno_error(errno, "limit devices of " + folder));
    return false;
  }
  return true;
}

}  // namespace

CgroupMounts parse_cgroup_mounts(std::string_view mountinfo) {
  CgroupMounts mounts;
  for (const std::string& line : split_by(mountinfo, '\n')) {
    std::vector<std::string> fields = split_by(line, ' ');
    auto dash = std::find(fields.begin(), fields.end(), "-");
    if (fields.size() < 6 || fields.end() - dash < 4) continue;
    const std::string& type = dash[1];
    if (type == "cgroup2" && mounts.unified.empty()) mounts.unified = fields[4];
    if (type != "cgroup") continue;
    CgroupMounts::Hierarchy hierarchy{fields[4], {}, {}};
    for (const std::string& option : split_by(dash[3], ',')) {
      if (std::find(std::begin(kControllers), std::end(kControllers), option) !=
          std::end(kControllers)) {
        hierarchy.controllers.push_back(option);
        hierarchy.options += (hierarchy.options.empty() ? "" : ",") + option;
      }
    }
    bool known = std::any_of(mounts.v1.begin(), mounts.v1.end(),
                             [&](const auto& other) { return other.options == hierarchy.options; });
    if (!hierarchy.controllers.empty() && !known) mounts.v1.push_back(std::move(hierarchy));
  }
  return mounts;
}

Cgroups Cgroups::of_this_machine(std::string root) {
  Result<std::string> text = base::read_file("/proc/self/mountinfo");
  return Cgroups(parse_cgroup_mounts(text.ok() ? *text : ""), std::move(root));
}

std::string Cgroups::folder(const std::string& mount_point, const std::string& path) const {
  return mount_point + "/" + root_ + (path.empty() ? "" : "/" + path);
}

const CgroupMounts::Hierarchy* Cgroups::hierarchy(std::string_view controller) const {
  for (const auto& hierarchy : mounts_.v1) {
    const auto& list = hierarchy.controllers;
    if (std::find(list.begin(), list.end(), controller) != list.end()) return &hierarchy;
  }
  return nullptr;
}

bool Cgroups::set(const std::string& file, const std::string& value) const {
  Result<void> written = write_value(file, value);
  if (!written.ok()) log_once(file, written.error());
  return written.ok();
}

// v2: a group has the controllers that every group above it passes on.
Result<void> Cgroups::enable_controllers(const std::string& path) const {
  if (!v2_only()) return {};
  std::vector<std::string> chain = {mounts_.unified, folder(mounts_.unified, "")};
  std::string part;
  for (const std::string& name : split_by(path, '/')) {
    part += (part.empty() ? "" : "/") + name;
    chain.push_back(folder(mounts_.unified, part));
  }
  chain.pop_back();  // the group itself passes nothing on yet
  for (const std::string& group : chain) {
    Result<std::string> enabled = base::read_file(group + "/cgroup.subtree_control");
    std::string have = " " + (enabled.ok() ? *enabled : "") + " ";
    std::replace(have.begin(), have.end(), '\n', ' ');
    for (const char* controller : {"cpu", "memory", "pids"}) {
      if (have.find(std::string(" ") + controller + " ") != std::string::npos) continue;
      set(group + "/cgroup.subtree_control", std::string("+") + controller);
    }
  }
  return {};
}

Result<void> Cgroups::create(const std::string& path, const Resources& resources, bool leaf) const {
  for_each_folder(path, [](const std::string& group) {
    if (!make_path(group))
      log_once(in_user_namespace() ? "folder" : group, errno_error(errno, "mkdir " + group));
  });
  TRY(enable_controllers(path));
  TRY(update(path, resources));
  // One process too big ends the container, as on other Kubernetes nodes; v1 cannot.
  if (leaf && v2_only() && !mounts_.unified.empty() &&
      !resources.unified.contains("memory.oom.group")) {
    set(unified_folder(path) + "/memory.oom.group", "1");
  }
  return {};
}

Result<void> Cgroups::update(const std::string& path, const Resources& resources) const {
  if (v2_only()) {
    if (mounts_.unified.empty()) return {};
    for (const CgroupWrite& w : v2_writes(resources))
      set(unified_folder(path) + "/" + w.file, w.value);
    return {};
  }
  std::vector<CgroupWrite> writes = v1_writes(resources);
  for (int pass = 0; pass < 2; pass++) {
    // Memory and memory with swap bound each other: which one has to move first depends on the
    // direction, so what is refused is tried again after the rest.
    std::vector<CgroupWrite> refused;
    for (const CgroupWrite& w : writes) {
      const CgroupMounts::Hierarchy* h = hierarchy(w.controller);
      if (h == nullptr) continue;
      std::string file = folder(h->mount_point, path) + "/" + w.file;
      Result<void> written = write_value(file, w.value);
      if (written.ok()) continue;
      refused.push_back(w);
      if (pass == 1) log_once(file, written.error());
    }
    writes = std::move(refused);
  }
  return {};
}

bool Cgroups::limit_devices(const std::string& path, const std::vector<DeviceRule>& rules) const {
  const CgroupMounts::Hierarchy* h = hierarchy("devices");
  if (h == nullptr) {
    return !mounts_.unified.empty() && attach_device_program(unified_folder(path), rules);
  }
  std::string group = folder(h->mount_point, path);
  if (!set(group + "/devices.deny", "a")) return false;
  for (const DeviceRule& rule : rules) set(group + "/devices.allow", rule.text());
  return true;
}

void Cgroups::for_each_folder(const std::string& path,
                              const std::function<void(const std::string&)>& fn) const {
  for (const auto& hierarchy : mounts_.v1) fn(folder(hierarchy.mount_point, path));
  if (!mounts_.unified.empty()) fn(folder(mounts_.unified, path));
}

void Cgroups::kill(const std::string& path) const {
  if (!mounts_.unified.empty()) {
    bool at_once = write_value(unified_folder(path) + "/cgroup.kill", "1").ok();
    if (!at_once) kill_members(unified_folder(path));
  }
  if (const CgroupMounts::Hierarchy* h = hierarchy("pids")) {
    kill_members(folder(h->mount_point, path));
  }
}

void Cgroups::remove(const std::string& path) const {
  kill(path);
  for_each_folder(path, remove_folder);
}

std::set<std::string> Cgroups::children(const std::string& path) const {
  std::set<std::string> names;
  for_each_folder(path, [&](const std::string& group) {
    for (std::string& name : subfolders(group)) names.insert(std::move(name));
  });
  return names;
}

std::vector<std::string> Cgroups::tasks_files(const std::string& path) const {
  std::vector<std::string> files;
  for (const auto& hierarchy : mounts_.v1) {
    std::string file = folder(hierarchy.mount_point, path) + "/tasks";
    if (access(file.c_str(), W_OK) == 0) files.push_back(std::move(file));
  }
  return files;
}

std::string Cgroups::unified_folder(const std::string& path) const {
  return mounts_.unified.empty() ? "" : folder(mounts_.unified, path);
}

std::string Cgroups::memory_events_file(const std::string& path) const {
  if (const CgroupMounts::Hierarchy* h = hierarchy("memory")) {
    return folder(h->mount_point, path) + "/memory.oom_control";
  }
  return mounts_.unified.empty() ? "" : unified_folder(path) + "/memory.events";
}

std::vector<std::string> Cgroups::shown_controllers() const {
  std::vector<std::string> names;
  for (const auto& hierarchy : mounts_.v1) names.push_back(hierarchy.options);
  return names;
}

Usage Cgroups::usage(const std::string& path) const {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  auto read = [&](std::string_view controller, std::string_view file) {
    const CgroupMounts::Hierarchy* h = v2_only() ? nullptr : hierarchy(controller);
    if (!v2_only() && h == nullptr) return std::string();
    std::string group = v2_only() ? unified_folder(path) : folder(h->mount_point, path);
    Result<std::string> text = base::read_file(group + "/" + std::string(file));
    return text.ok() ? *std::move(text) : std::string();
  };
  Usage usage = v2_only() ? usage_of_v2(read) : usage_of_v1(read);
  usage.timestamp_ns = now.tv_sec * 1000000000LL + now.tv_nsec;
  return usage;
}

}  // namespace knarr::runtime
