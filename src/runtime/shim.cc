#include "runtime/shim.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "base/file.h"
#include "base/format.h"
#include "runtime/shim_server.h"

namespace knarr::runtime {

namespace {

constexpr int kListener = 3;

Result<void> set_sysctl(std::string name, const std::string& value) {
  if (name.find('/') == std::string::npos) std::replace(name.begin(), name.end(), '.', '/');
  std::string path = "/proc/sys/" + name;
  base::UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid() || write(fd.get(), value.data(), value.size()) < 0) {
    return errno_error(errno, "set sysctl " + name);
  }
  return {};
}

Result<void> raise_loopback() {
  base::UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  snprintf(request.ifr_name, sizeof request.ifr_name, "lo");
  request.ifr_flags = IFF_UP;
  if (!fd.valid() || ioctl(fd.get(), SIOCSIFFLAGS, &request) != 0) {
    return errno_error(errno, "bring up the loopback interface");
  }
  return {};
}

// Process 1 of a shared pid namespace: reaps what loses its parent there, until the shim ends.
[[noreturn]] void run_pause() {
  prctl(PR_SET_NAME, "pause", 0, 0, 0);  // as what containers that share it know it
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  close_range(0, ~0U, 0);
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, nullptr);
  while (true) {
    int signal = 0;
    sigwait(&all, &signal);
    if (signal == SIGTERM || signal == SIGINT) _exit(0);
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
  }
}

// A pod may bind low ports and send pings without privileges: its network is its own. A kernel that
// lacks the switch is fine too.
void set_default_sysctls(const SandboxConfig& config) {
  const char* defaults[][2] = {{"net.ipv4.ip_unprivileged_port_start", "0"},
                               {"net.ipv4.ping_group_range", "0 2147483647"}};
  for (auto& entry : defaults) {
    if (config.sysctls.contains(entry[0])) continue;
    [[maybe_unused]] Result<void> ignored = set_sysctl(entry[0], entry[1]);
  }
}

// Answers the process that is the first of the pod's own pid namespace; 0 when it has none.
Result<int> make_namespaces(const SandboxConfig& config) {
  bool own_network = config.network != NamespaceMode::kNode;
  int flags = 0;
  if (own_network) flags |= CLONE_NEWNET | CLONE_NEWUTS;
  if (config.ipc != NamespaceMode::kNode) flags |= CLONE_NEWIPC;
  if (config.pid == NamespaceMode::kPod) flags |= CLONE_NEWPID;
  if (unshare(flags) != 0) return errno_error(errno, "unshare the pod's namespaces");
  if (own_network) {
    if (!config.hostname.empty() &&
        sethostname(config.hostname.c_str(), config.hostname.size()) != 0) {
      return errno_error(errno, "set hostname " + config.hostname);
    }
    TRY(raise_loopback());
    set_default_sysctls(config);
  }
  for (const auto& [name, value] : config.sysctls) TRY(set_sysctl(name, value));
  if (config.pid != NamespaceMode::kPod) return 0;
  int pid = fork_into(0, -1);
  if (pid == 0) run_pause();
  if (pid < 0) return errno_error(errno, "fork the pod's init");
  return pid;
}

// Whoever asks the kernel who holds it learns this process's number. Valid as long as it lives.
base::UniqueFd hold_lock(const std::string& folder) {
  base::UniqueFd fd(open((folder + "/shim.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  struct flock lock {};
  lock.l_type = F_WRLCK;
  if (fd.valid()) fcntl(fd.get(), F_SETLK, &lock);
  return fd;
}

int open_signals() {
  signal(SIGHUP, SIG_IGN);
  signal(SIGINT, SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

}  // namespace

int shim_main(int argc, char** argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: %s %s FOLDER (started by knarr, not by hand)\n", argv[0], kShimCommand);
    return 2;
  }
  std::string folder = argv[2];
  Result<std::string> text = base::read_file(folder + "/sandbox.json");
  Result<SandboxRecord> record = text.ok() ? parse_record<SandboxRecord>(*text) : text.error();
  if (!record.ok()) {
    fprintf(stderr, "%s\n", record.error().message.c_str());
    return 1;
  }
  // The child belongs to nobody, so nobody's end is its own.
  if (pid_t pid = fork(); pid != 0) _exit(pid < 0 ? 1 : 0);
  setsid();
  umask(0022);
  if (chdir("/") != 0) return 1;
  close_range(kListener + 1, ~0U, 0);
  base::UniqueFd lock = hold_lock(folder);
  fcntl(kListener, F_SETFD, FD_CLOEXEC);
  prctl(PR_SET_NAME, "knarr-shim", 0, 0, 0);
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  int signals = open_signals();
  Result<int> init = make_namespaces(record->config);
  ShimServer server(std::move(*record), init);
  int code = server.run(kListener, signals);
  unlink((folder + "/shim.sock").c_str());
  // Nothing to tidy: and what a sanitizer does at exit needs a thread, which a process whose
  // children go to another pid namespace cannot have.
  _exit(code);
}

}  // namespace knarr::runtime
