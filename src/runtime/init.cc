#include "runtime/init.h"

#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/format.h"
#include "runtime/capabilities.h"
#include "runtime/rootfs.h"
#include "runtime/wire.h"

namespace knarr::runtime {

namespace {

// "no such file or directory": as Go spells what strerror begins with a capital.
std::string go_error(int number) {
  std::string text = strerror(number);
  if (!text.empty()) text[0] = static_cast<char>(tolower(text[0]));
  return text;
}

void report(int fd, char tag, std::string_view text) {
  std::string line(1, tag);
  line += text;
  line += '\0';
  [[maybe_unused]] ssize_t n = write(fd, line.data(), line.size());
}

[[noreturn]] void give_up(int status, const Error& error) {
  report(status, 'E', error.message);
  _exit(1);
}

// Not dumpable till exec: nobody in the container may look at this program through /proc.
void prepare_process() {
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  for (int i = 1; i < NSIG; i++) sigaction(i, &action, nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

// A single thread that names itself "0" moves without the kernel's global lock (v1's "tasks").
Result<void> join_cgroups(const std::vector<std::string>& tasks) {
  for (const std::string& path : tasks) {
    base::UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd.valid() || write(fd.get(), "0", 1) != 1) return errno_error(errno, "join " + path);
  }
  return {};
}

// Lowering it needs CAP_SYS_RESOURCE; without, the container keeps what it inherited.
void set_oom_score(int score) {
  base::UniqueFd fd(open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  std::string text = fmt::format("{}", score);
  if (fd.valid()) [[maybe_unused]]
    ssize_t n = write(fd.get(), text.data(), text.size());
}

// Containers get all descriptors the node allows, up to what old programs can count to.
void raise_file_limit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 1048576);
  setrlimit(RLIMIT_NOFILE, &limit);
}

// By descriptors on both sides: a volume may have put a link where either path leads
// (CVE-2025-52565).
Result<void> bind_console_to(int slave) {
  base::UniqueFd made(open("/dev/console", O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  base::UniqueFd target(open("/dev/console", O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat info;
  if (!target.valid() || fstat(target.get(), &info) != 0) {
    return errno_error(errno, "open /dev/console");
  }
  if (S_ISLNK(info.st_mode)) return make_error(Code::kInvalid, "/dev/console is a symbolic link");
  base::UniqueFd tree(open_tree(slave, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!tree.valid() || move_mount(tree.get(), "", target.get(), "",
                                  MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
    return errno_error(errno, "mount /dev/console");
  }
  return {};
}

Result<void> open_console(const ProcessFds& fds, const Identity& identity, bool bind_console) {
  base::UniqueFd master(open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!master.valid()) return errno_error(errno, "open /dev/pts/ptmx");
  int unlocked = 0;
  if (ioctl(master.get(), TIOCSPTLCK, &unlocked) != 0) {
    return errno_error(errno, "unlock the terminal");
  }
  base::UniqueFd slave(ioctl(master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!slave.valid()) return errno_error(errno, "open the terminal");
  if (fchown(slave.get(), identity.uid, static_cast<gid_t>(-1)) != 0) {
    return errno_error(errno, "chown the terminal");
  }
  if (bind_console) TRY(bind_console_to(slave.get()));
  std::vector<base::UniqueFd> sent;
  sent.push_back(std::move(master));
  TRY_ASSIGN(size_t taken, send_some(fds.console, "M", sent));
  if (taken != 1) return make_error(Code::kInternalError, "the terminal could not be handed over");
  setsid();
  if (ioctl(slave.get(), TIOCSCTTY, 0) != 0) return errno_error(errno, "take the terminal");
  for (int fd = 0; fd < 3; fd++) dup2(slave.get(), fd);
  return {};
}

// Pipes belong to the user, so that /dev/stdout can be opened again.
Result<void> set_stdio(const ProcessFds& fds, const Identity& identity) {
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  int wanted[] = {fds.in, fds.out, fds.err};
  for (int fd = 0; fd < 3; fd++) {
    int source = wanted[fd] >= 0 ? wanted[fd] : null;
    if (source < 0 || dup2(source, fd) < 0) return errno_error(errno, "set standard streams");
    struct stat info;
    if (wanted[fd] >= 0 && fstat(fd, &info) == 0 && S_ISFIFO(info.st_mode)) {
      [[maybe_unused]] int ignored = fchown(fd, identity.uid, info.st_gid);
    }
  }
  return {};
}

Result<void> load_seccomp(std::string_view program) {
  if (program.empty()) return {};
  sock_fprog filter{};
  filter.len = static_cast<unsigned short>(program.size() / sizeof(sock_filter));
  filter.filter = reinterpret_cast<sock_filter*>(const_cast<char*>(program.data()));
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &filter) != 0 &&
      syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) != 0) {
    return errno_error(errno, "load the seccomp profile");
  }
  return {};
}

Result<void> become(const Identity& identity) {
  std::vector<gid_t> groups(identity.groups.begin(), identity.groups.end());
  if (setgroups(groups.size(), groups.data()) != 0) return errno_error(errno, "setgroups");
  if (setresgid(identity.gid, identity.gid, identity.gid) != 0) return errno_error(errno, "setgid");
  if (setresuid(identity.uid, identity.uid, identity.uid) != 0) return errno_error(errno, "setuid");
  return {};
}

// Keys of its own: else every container would share the session keyring that the node was started
// with. A further process finds the one of its container by name, which takes the right to search.
Result<void> join_keyring(const std::string& id) {
  constexpr uint32_t kPossessorAll = 0x3f000000;
  constexpr uint32_t kOwnerViewReadSearchLink = 0x001b0000;
  std::string name = "_ses." + id;
  long ring = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.c_str(), 0, 0, 0);
  if (ring < 0 && errno == ENOSYS) return {};
  if (ring < 0) return errno_error(errno, "join session keyring " + name);
  syscall(SYS_keyctl, KEYCTL_SETPERM, ring, kPossessorAll | kOwnerViewReadSearchLink, 0, 0);
  return {};
}

// Before any path of the user's is followed: through /proc/self/fd it could reach whatever folder
// of the host the shim holds open. Marking those to close at exec is too late for that.
int keep_only_status(int status) {
  constexpr int kStatus = 3;
  if (status != kStatus && dup3(status, kStatus, O_CLOEXEC) < 0) _exit(1);
  close_range(kStatus + 1, ~0U, 0);
  return kStatus;
}

// Without no_new_privs only an administrator may load a filter, so it comes before the drop.
Result<void> drop_privileges(const LaunchSpec& spec, const Identity& identity,
                             std::string_view seccomp) {
  uint64_t set = spec.capabilities & bounding_capabilities();
  if (spec.security.no_new_privileges) {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno_error(errno, "no_new_privs");
  } else {
    TRY(load_seccomp(seccomp));
  }
  TRY(limit_bounding_set(set));
  prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
  TRY(become(identity));
  prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
  TRY(take_capabilities(set));
  if (spec.security.no_new_privileges) TRY(load_seccomp(seccomp));
  return {};
}

void set_default(std::vector<std::string>& env, std::string_view name, std::string_view value) {
  std::string prefix = std::string(name) + "=";
  for (const std::string& entry : env) {
    if (entry.starts_with(prefix)) return;
  }
  env.push_back(prefix + std::string(value));
}

// The kernel names a folder outside of the root "(unreachable)/...".
Result<void> check_folder() {
  char path[PATH_MAX];
  if (syscall(SYS_getcwd, path, sizeof path) > 0 && path[0] == '/') return {};
  return make_error(Code::kInvalid,
                    "current working directory is outside of container mount namespace root -- "
                    "possible container breakout detected");
}

Result<void> enter_folder(const std::string& cwd) {
  if (chdir(cwd.c_str()) == 0) return check_folder();
  return make_error(
      Code::kInvalid,
      fmt::format("chdir to cwd (\"{}\") set in config.json failed: {}", cwd, go_error(errno)));
}

// Root may enter where the user may not, and the other way round on a network file system.
Result<void> enter_folder_and_drop(const LaunchSpec& spec, const Identity& identity,
                                   std::string_view seccomp) {
  bool entered = chdir(spec.cwd.c_str()) == 0;
  if (entered) TRY(check_folder());
  TRY(drop_privileges(spec, identity, seccomp));
  if (!entered) TRY(enter_folder(spec.cwd));
  return {};
}

// Does not return. What fails from here on the user sees in the container's own output.
[[noreturn]] void start_program(const std::string& path, const std::vector<std::string>& argv,
                                const std::vector<std::string>& env) {
  std::vector<char*> arguments;
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  std::vector<char*> variables;
  for (const std::string& entry : env) variables.push_back(const_cast<char*>(entry.c_str()));
  variables.push_back(nullptr);
  execve(path.c_str(), arguments.data(), variables.data());
  std::string text = fmt::format("exec {}: {}\n", path, go_error(errno));
  [[maybe_unused]] ssize_t n = write(2, text.data(), text.size());
  _exit(255);
}

[[noreturn]] void finish(const LaunchSpec& spec, const Identity& identity,
                         const std::vector<std::string>& argv, bool tty, std::string_view seccomp,
                         int status) {
  umask(0022);
  raise_file_limit();
  std::vector<std::string> env = spec.env;
  if (tty) set_default(env, "TERM", "xterm");
  set_default(env, "HOME", identity.home);
  Result<void> ready = join_keyring(spec.id);
  if (ready.ok()) ready = enter_folder_and_drop(spec, identity, seccomp);
  if (!ready.ok()) give_up(status, ready.error());
  Result<std::string> path = find_executable(argv[0], env);
  if (!path.ok()) give_up(status, path.error());
  start_program(*path, argv, env);
}

Result<Identity> prepare_container(const LaunchSpec& spec, const ProcessFds& fds) {
  TRY(join_cgroups(spec.cgroup_tasks));
  set_oom_score(spec.oom_score_adj);
  if (unshare(CLONE_NEWCGROUP) != 0) return errno_error(errno, "unshare the cgroup namespace");
  Rootfs rootfs(spec);
  TRY(rootfs.gather());
  TRY(rootfs.enter());
  base::UniqueFd root(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  TRY_ASSIGN(Identity identity, resolve_identity_in(root.get(), spec.image_user, spec.security));
  TRY(rootfs.populate());
  if (spec.tty) {
    TRY(open_console(fds, identity, true));
  } else {
    setsid();
    TRY(set_stdio(fds, identity));
  }
  TRY(make_folders(spec.cwd, 0755));
  TRY(rootfs.seal());
  return identity;
}

}  // namespace

json::Value to_json(const Identity& identity) {
  json::Value groups = json::Value::array();
  for (uint32_t group : identity.groups) groups.push_back(static_cast<int64_t>(group));
  return json::Value::object({{"uid", static_cast<int64_t>(identity.uid)},
                              {"gid", static_cast<int64_t>(identity.gid)},
                              {"groups", groups},
                              {"home", identity.home}});
}

void from_json(const json::Value& value, Identity& identity) {
  identity.uid = static_cast<uint32_t>(value["uid"].as_int());
  identity.gid = static_cast<uint32_t>(value["gid"].as_int());
  identity.groups.clear();
  for (const json::Value& group : value["groups"].elements()) {
    identity.groups.push_back(static_cast<uint32_t>(group.as_int()));
  }
  identity.home = value["home"].text();
}

int fork_into(uint64_t flags, int cgroup_fd) {
  clone_args args{};
  args.flags = flags;
  args.exit_signal = (flags & CLONE_PARENT) != 0 ? 0 : SIGCHLD;
  if (cgroup_fd >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<uint64_t>(cgroup_fd);
  }
  return static_cast<int>(syscall(SYS_clone3, &args, sizeof args));
}

Result<std::string> find_executable(const std::string& name, const std::vector<std::string>& env) {
  auto failed = [&](const std::string& why) {
    return make_error(Code::kInvalid, fmt::format("exec: \"{}\": {}", name, why));
  };
  if (name.find('/') != std::string::npos) {
    struct stat info;
    if (stat(name.c_str(), &info) != 0) return failed("stat " + name + ": " + go_error(errno));
    if (S_ISDIR(info.st_mode)) return failed("is a directory");
    if (faccessat(AT_FDCWD, name.c_str(), X_OK, AT_EACCESS) != 0) return failed(go_error(errno));
    return name;
  }
  std::string path;
  for (const std::string& entry : env) {
    if (entry.starts_with("PATH=")) path = entry.substr(5);
  }
  for (size_t begin = 0; !name.empty() && begin <= path.size();) {
    size_t end = std::min(path.find(':', begin), path.size());
    std::string folder = end > begin ? path.substr(begin, end - begin) : ".";
    std::string candidate = folder + "/" + name;
    struct stat info;
    if (stat(candidate.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
        faccessat(AT_FDCWD, candidate.c_str(), X_OK, AT_EACCESS) == 0) {
      return candidate;
    }
    begin = end + 1;
  }
  return failed("executable file not found in $PATH");
}

void run_container(const LaunchSpec& spec, std::string_view seccomp, const ProcessFds& fds) {
  prepare_process();
  Result<Identity> identity = prepare_container(spec, fds);
  if (!identity.ok()) give_up(fds.status, identity.error());
  int status = keep_only_status(fds.status);
  report(status, 'I', json::write(to_json(*identity)));
  finish(spec, *identity, spec.argv, spec.tty, seccomp, status);
}

void run_exec(const LaunchSpec& container, const Identity& identity, const ExecSpec& spec,
              std::string_view seccomp, int container_pidfd, const ProcessFds& fds) {
  prepare_process();
  if (Result<void> r = join_cgroups(container.cgroup_tasks); !r.ok())
    give_up(fds.status, r.error());
  set_oom_score(container.oom_score_adj);
  bool other_pids = has_other_pids(container.pid);
  int namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | (other_pids ? CLONE_NEWPID : 0);
  if (setns(container_pidfd, namespaces) != 0) {
    give_up(fds.status, errno_error(errno, "enter the container's namespaces"));
  }
  if (other_pids) {
    // Only a child is in the pid namespace. It waits until the shim can know its number.
    int gate[2];
    if (pipe2(gate, O_CLOEXEC) != 0) give_up(fds.status, errno_error(errno, "pipe"));
    int pid = fork_into(CLONE_PARENT, -1);
    if (pid < 0) give_up(fds.status, errno_error(errno, "fork"));
    if (pid > 0) {
      report(fds.status, 'P', fmt::format("{}", pid));
      _exit(0);
    }
    close(gate[1]);
    char end;
    [[maybe_unused]] ssize_t n = read(gate[0], &end, 1);
  }
  Result<void> stdio;
  if (spec.tty) {
    stdio = open_console(fds, identity, false);
  } else {
    setsid();
    stdio = set_stdio(fds, identity);
  }
  if (!stdio.ok()) give_up(fds.status, stdio.error());
  finish(container, identity, spec.argv, spec.tty, seccomp, keep_only_status(fds.status));
}

}  // namespace knarr::runtime
