#include "cli/dev_user_space.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <sstream>

#include "agent/network/rtnetlink.h"
#include "base/file.h"
#include "base/format.h"
#include "base/run_process.h"
#include "base/unique_fd.h"
#include "cli/dev_cluster.h"
#include "cli/dev_process.h"
#include "cli/dev_slirp.h"
#include "cli/dev_user.h"

namespace knarr::cli {

namespace {

constexpr char kCgroups[] = "/sys/fs/cgroup";
constexpr int kNamespaces =
    CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWCGROUP;
constexpr int kMostEndMs = 5000;
constexpr int kMostMoveMs = 2000;

struct Pipe {
  base::UniqueFd read, write;

  static Result<Pipe> open() {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) return errno_error(errno, "pipe");
    return Pipe{base::UniqueFd(fds[0]), base::UniqueFd(fds[1])};
  }
};

bool only_v2() {
  struct statfs fs {};
  return statfs(kCgroups, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

// As mounted; of "self" or a pid.
std::string cgroup_of(const std::string& process) {
  auto text = base::read_file("/proc/" + process + "/cgroup");
  size_t at = text.ok() ? text->find("0::") : std::string::npos;
  if (at == std::string::npos) return "";
  return kCgroups + text->substr(at + 3, text->find('\n', at) - at - 3);
}

bool may_divide(const std::string& cgroup) {
  return only_v2() && !cgroup.empty() && access((cgroup + "/cgroup.procs").c_str(), W_OK) == 0 &&
         access((cgroup + "/cgroup.subtree_control").c_str(), W_OK) == 0;
}

bool move_to(const std::string& cgroup) {
  base::UniqueFd fd(open((cgroup + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
  return fd.valid() && write(fd.get(), "0", 1) == 1;
}

// From the namespace's root on, in front of the machine's. mount(2) refuses a file system upon
// itself.
Result<void> show_own_cgroups() {
  base::UniqueFd context(fsopen("cgroup2", FSOPEN_CLOEXEC));
  if (!context.valid() || fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return errno_error(errno, "open cgroups");
  }
  base::UniqueFd made(fsmount(context.get(), FSMOUNT_CLOEXEC,
                              MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
  if (!made.valid() ||
      move_mount(made.get(), "", AT_FDCWD, kCgroups, MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    return errno_error(errno, "mount cgroups");
  }
  return {};
}

// The keeper's own cgroup is below the one that it shows as the root: only groups without processes
// pass controllers on.
Result<void> set_up_namespaces() {
  if (mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) {
    return errno_error(errno, "make mounts the namespace's own");
  }
  TRY_ASSIGN(agent::Netlink netlink, agent::Netlink::open());
  TRY(agent::set_link_up(netlink, 1));  // 1: loopback
  return only_v2() ? show_own_cgroups() : Result<void>();
}

// One byte; false at the end of what can come.
bool wait_for(int fd) {
  char byte;
  ssize_t n;
  while ((n = read(fd, &byte, 1)) < 0 && errno == EINTR) {
  }
  return n == 1;
}

// Says "-" when it wants its ids, then nothing more, or what failed. Holds `life` open.
[[noreturn]] void keep(int go, int said, int life) {
  auto give_up = [&](const std::string& why) {
    [[maybe_unused]] ssize_t n = write(said, why.data(), why.size());
    _exit(1);
  };
  setsid();
  signal(SIGHUP, SIG_IGN);
  std::string cgroup = cgroup_of("self");
  if (unshare(kNamespaces) != 0) {
    give_up(errno_error(errno, "user namespaces are not allowed to users here").message);
  }
  bool divided = may_divide(cgroup) && mkdir((cgroup + "/keeper").c_str(), 0755) == 0;
  if (divided) move_to(cgroup + "/keeper");
  [[maybe_unused]] ssize_t n = write(said, "-", 1);
  if (!wait_for(go)) _exit(1);
  if (setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0) give_up("cannot become root inside");
  auto done = set_up_namespaces();
  if (!done.ok()) give_up(done.error().message);
  if (chdir("/") != 0) _exit(1);
  close(said);
  if (!wait_for(go)) _exit(1);  // the command ended before it wrote us down
  dup2(life, 3);
  close_range(4, ~0U, 0);
  int null = open("/dev/null", O_RDWR);
  for (int fd = 0; fd < 3; fd++) dup2(null, fd);
  while (true) pause();
}

Result<std::string> program(const char* name, const char* package) {
  std::string path = base::find_program(name);
  if (!path.empty()) return path;
  return make_error(Code::kForbidden,
                    fmt::format("knarr dev without root wants {} (Debian's package {}); "
                                "or say it with sudo",
                                name, package));
}

Result<void> run_map(const char* name, pid_t keeper, uint64_t own, const IdRange& more) {
  TRY_ASSIGN(std::string path, program(name, "uidmap"));
  std::vector<std::string> argv = {path,
                                   fmt::format("{}", keeper),
                                   "0",
                                   fmt::format("{}", own),
                                   "1",
                                   "1",
                                   fmt::format("{}", more.first),
                                   fmt::format("{}", more.count)};
  TRY_ASSIGN(auto done, base::run_process(argv, ""));
  if (done.exit_code == 0) return {};
  return make_error(Code::kUnknown, fmt::format("{}: {}", name, done.err));
}

Result<IdRange> further_ids(const char* file, const PasswdEntry& user) {
  auto text = base::read_file(file);
  auto range = find_id_range(text.ok() ? *text : "", user);
  if (range) return *range;
  return make_error(Code::kForbidden,
                    fmt::format("knarr dev without root wants a line \"{}:100000:65536\" in {} "
                                "(usermod --add-subuids and --add-subgids)",
                                user.name, file));
}

}  // namespace

std::string dev_resolv_conf(const std::string& run_root) { return run_root + "/resolv.conf"; }

bool enter_delegated_cgroup() {
  std::string before = cgroup_of("self"), busctl = base::find_program("busctl");
  if (!only_v2() || busctl.empty()) return false;
  // As systemd-run --scope does, for this process.
  std::string unit = fmt::format("knarr-dev-{}.scope", getpid());
  auto asked = base::run_process(
      {busctl, "--user", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
       "org.freedesktop.systemd1.Manager", "StartTransientUnit", "ssa(sv)a(sa(sv))", unit, "fail",
       "2", "PIDs", "au", "1", fmt::format("{}", getpid()), "Delegate", "b", "true", "0"},
      "");
  if (!asked.ok() || asked->exit_code != 0) return false;
  for (int waited = 0; waited < kMostMoveMs; waited += 5) {
    if (cgroup_of("self") != before) return may_divide(cgroup_of("self"));
    usleep(5000);
  }
  return false;
}

DevUserSpace::Record DevUserSpace::read_record() const {
  Record r;
  auto text = base::read_file(record_path());
  if (!text.ok()) return r;
  size_t second = text->find('\n') + 1;
  r.keeper = process_of_record(*text);
  r.slirp = process_of_record(std::string_view(*text).substr(std::min(second, text->size())));
  return r;
}

Result<void> DevUserSpace::map_ids(pid_t keeper) const {
  std::string uid = fmt::format("{}", geteuid());
  auto passwd = base::read_file("/etc/passwd");
  PasswdEntry user = find_user(passwd.ok() ? *passwd : "", uid).value_or(PasswdEntry{uid, uid, ""});
  TRY_ASSIGN(IdRange uids, further_ids("/etc/subuid", user));
  TRY_ASSIGN(IdRange gids, further_ids("/etc/subgid", user));
  TRY(run_map("newuidmap", keeper, geteuid(), uids));
  return run_map("newgidmap", keeper, getegid(), gids);
}

// Until the keeper has its ids, network and mounts.
Result<void> DevUserSpace::start(pid_t keeper, int go, int said) const {
  char first = 0;
  if (read(said, &first, 1) == 1 && first == '-') {
    TRY(map_ids(keeper));
    if (write(go, "-", 1) != 1) return errno_error(errno, "wake the keeper of namespaces");
    first = 0;
  }
  std::string why(first != 0 ? 1 : 0, first);
  char buffer[512];
  ssize_t n;
  while ((n = read(said, buffer, sizeof buffer)) > 0) why.append(buffer, static_cast<size_t>(n));
  if (why.empty()) return {};
  return make_error(Code::kForbidden, "knarr dev without root: " + why + "; or say it with sudo");
}

Result<void> DevUserSpace::ensure(bool to_start) const {
  Record record = read_record();
  if (record.keeper != 0 && (record.slirp != 0 || !to_start)) return {};
  if (record.keeper != 0 && any_dev_cluster_runs(run_root_)) {
    return make_error(Code::kUnknown, "slirp4netns has ended: `knarr dev stop --all`, then up");
  }
  if (record.keeper != 0 || record.slirp != 0) TRY(end());
  TRY(program("slirp4netns", "slirp4netns"));
  TRY_ASSIGN(Pipe go, Pipe::open());
  TRY_ASSIGN(Pipe said, Pipe::open());
  TRY_ASSIGN(Pipe life, Pipe::open());
  pid_t keeper = fork();
  if (keeper < 0) return errno_error(errno, "fork");
  if (keeper == 0) {
    go.write.reset();
    keep(go.read.get(), said.write.get(), life.write.get());
  }
  go.read.reset();
  said.write.reset();
  life.write.reset();
  auto started = start(keeper, go.write.get(), said.read.get());
  if (started.ok()) {
    // Out of the group above the keeper's: one with processes passes no controllers on.
    if (only_v2()) move_to(cgroup_of(fmt::format("{}", keeper)));
    auto slirp = DevSlirp(run_root_).start(keeper, life.read);
    if (slirp.ok()) {
      std::string search;
      auto host = base::read_file("/etc/resolv.conf");
      std::istringstream lines(host.ok() ? *host : "");
      for (std::string line; std::getline(lines, line);) {
        if (line.starts_with("search ")) search = line + "\n";
      }
      TRY(base::write_file(dev_resolv_conf(run_root_),
                           fmt::format("nameserver {}\n{}", DevSlirp::kNameServer, search), 0644,
                           base::Durability::kPlain));
      TRY(base::write_file(record_path(), process_record(keeper) + process_record(*slirp), 0600,
                           base::Durability::kPlain));
      if (write(go.write.get(), "-", 1) != 1) return errno_error(errno, "wake the keeper");
      return {};
    }
    started = slirp.error();
  }
  kill(keeper, SIGKILL);
  waitpid(keeper, nullptr, 0);
  TRY(end());
  return started;
}

Result<void> DevUserSpace::enter(bool to_start) const {
  int keeper = read_record().keeper;
  if (keeper == 0) return make_error(Code::kNotFound, "there are no namespaces to enter");
  base::UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, keeper, 0)));
  if (!process.valid()) return errno_error(errno, "pidfd_open");
  if (to_start && only_v2()) move_to(cgroup_of(fmt::format("{}", keeper)));
  char* folder = getcwd(nullptr, 0);
  if (setns(process.get(), kNamespaces) != 0) {
    free(folder);
    return errno_error(errno, "enter the namespaces of the clusters");
  }
  if (folder != nullptr) [[maybe_unused]]
    int ignored = chdir(folder);
  free(folder);
  if (setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0) {
    return errno_error(errno, "become root inside");
  }
  // The machine's is not ours to write.
  setenv("XTABLES_LOCKFILE", (run_root_ + "/xtables.lock").c_str(), 1);
  return {};
}

Result<void> DevUserSpace::end() const {
  Record r = read_record();
  if (r.keeper != 0) {
    kill(r.keeper, SIGKILL);
    if (!await_end(r.keeper, kMostEndMs)) {
      return make_error(Code::kTimeout, "the keeper of namespaces does not end");
    }
  }
  // It sees that the keeper is gone.
  if (r.slirp != 0 && !await_end(r.slirp, kMostEndMs)) kill(r.slirp, SIGKILL);
  for (const char* name : {"/namespaces", "/resolv.conf", "/slirp.sock", "/slirp.log",
                           "/xtables.lock", "/.ip_forward"}) {
    unlink((run_root_ + name).c_str());
  }
  return {};
}

}  // namespace knarr::cli
