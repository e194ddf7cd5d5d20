#include "runtime/shim_container.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "base/file.h"
#include "base/format.h"
#include "knarr/check.h"
#include "runtime/image/files.h"
#include "runtime/wire.h"

namespace knarr::runtime {

namespace {

// A pipe whose `near` end is this process's, and never blocks.
Result<void> make_pipe(bool near_reads, base::UniqueFd& near, base::UniqueFd& far) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return errno_error(errno, "pipe");
  near.reset(fds[near_reads ? 0 : 1]);
  far.reset(fds[near_reads ? 1 : 0]);
  fcntl(near.get(), F_SETFL, O_NONBLOCK);
  return {};
}

// The counter stands in v1's memory.oom_control and in v2's memory.events alike.
bool oom_killed(const std::string& path) {
  if (path.empty()) return false;
  Result<std::string> text = base::read_file(path);
  if (!text.ok()) return false;
  size_t at = ("\n" + *text).find("\noom_kill ");
  return at != std::string::npos && atoi(text->c_str() + at + 9) > 0;
}

}  // namespace

int64_t wall_clock_ns() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

Result<int> StatusPipe::open() {
  TRY(make_pipe(true, read_, write_));
  return write_.get();
}

bool StatusPipe::drain() {
  char buffer[4096];
  ssize_t n;
  while ((n = read(read_.get(), buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR)) {
    if (n > 0) text_.append(buffer, static_cast<size_t>(n));
  }
  size_t end;
  while ((end = text_.find('\0')) != std::string::npos) {
    std::string value = end > 0 ? text_.substr(1, end - 1) : std::string();
    switch (text_[0]) {
      case 'I': identity = value; break;
      case 'P': pid = atoi(value.c_str()); break;
      case 'E': error = value; break;
      default: break;
    }
    text_.erase(0, end + 1);
  }
  if (n < 0) return false;
  read_.reset();
  return true;
}

ShimContainer::ShimContainer(LaunchSpec spec, std::string seccomp)
    : spec_(std::move(spec)), seccomp_(std::move(seccomp)) {
  progress_.id = spec_.id;
}

Result<void> ShimContainer::open_streams(ProcessFds& child) {
  TRY(log_.open(spec_.log_path, spec_.log_max_bytes, spec_.log_max_files));
  if (spec_.tty) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
      return errno_error(errno, "socketpair");
    }
    console_.reset(pair[0]);
    child_ends_.emplace_back(pair[1]);
    child.console = pair[1];
    return {};
  }
  base::UniqueFd far[3];
  TRY(make_pipe(true, output_[0], far[0]));
  TRY(make_pipe(true, output_[1], far[1]));
  if (spec_.stdin_open) TRY(make_pipe(false, input_, far[2]));
  child.out = far[0].get();
  child.err = far[1].get();
  child.in = far[2].get();
  for (base::UniqueFd& fd : far) child_ends_.push_back(std::move(fd));
  return {};
}

Result<void> ShimContainer::start(uint64_t extra_namespaces, int join_pids_of) {
  ProcessFds child;
  TRY(open_streams(child));
  TRY_ASSIGN(child.status, status_.open());
  base::UniqueFd cgroup;
  if (!spec_.cgroup_unified.empty()) {
    cgroup.reset(open(spec_.cgroup_unified.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!cgroup.valid()) return errno_error(errno, "open " + spec_.cgroup_unified);
  }
  base::UniqueFd own_pids;
  if (join_pids_of >= 0) {
    own_pids.reset(open("/proc/self/ns/pid_for_children", O_RDONLY | O_CLOEXEC));
    if (!own_pids.valid() || setns(join_pids_of, CLONE_NEWPID) != 0) {
      return errno_error(errno, "enter the pid namespace of container " + spec_.pid_target);
    }
  }
  int pid = fork_into(CLONE_NEWNS | extra_namespaces, cgroup.get());
  if (pid == 0) run_container(spec_, seccomp_, child);
  int fork_errno = errno;
  if (own_pids.valid()) CHECK(setns(own_pids.get(), CLONE_NEWPID) == 0);
  errno = fork_errno;
  if (pid < 0) return errno_error(errno, "fork the container's process");
  progress_.pid = pid;
  progress_.started_at_ns = wall_clock_ns();
  pidfd_.reset(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  status_.close_child_end();
  child_ends_.clear();
  return {};
}

bool ShimContainer::start_decided() {
  if (!status_.is_open()) return progress_.state != ContainerState::kCreated;
  if (!status_.drain()) return false;
  take_console();
  if (Result<json::Value> identity = json::parse(status_.identity); identity.ok()) {
    from_json(*identity, identity_);
  }
  progress_.error = status_.error;
  if (progress_.error.empty()) progress_.state = ContainerState::kRunning;
  return true;
}

void ShimContainer::take_console() {
  if (!console_.valid()) return;
  output_[0] = receive_descriptor(console_.get());
  if (output_[0].valid()) fcntl(output_[0].get(), F_SETFL, O_NONBLOCK);
  console_.reset();
}

// An attacher that does not read holds the container's output back, as a full pipe would.
bool ShimContainer::blocked() const {
  for (const Attacher& a : attachers_) {
    if (!a.pending[0].empty() || !a.pending[1].empty()) return true;
  }
  return false;
}

void ShimContainer::want(Poller& poller) {
  if (!blocked()) {
    for (auto source : {CriLog::Source::kStdout, CriLog::Source::kStderr}) {
      poller.want(output_[static_cast<int>(source)].get(), POLLIN,
                  [this, source](short) { read_output(source); });
    }
  }
  for (Attacher& a : attachers_) {
    for (int i = 0; i < 2; i++) {
      poller.want(a.fds[i].get(), a.pending[i].empty() ? 0 : POLLOUT, [this, &a, i](short events) {
        // The other side has gone: with it the input it promised to give once.
        if ((events & (POLLERR | POLLHUP)) != 0) a.fds[i].reset();
        flush_attachers();
      });
    }
  }
  attachers_.remove_if([this](const Attacher& a) {
    if (a.fds[0].valid() || a.fds[1].valid()) return false;
    if (a.takes_input && spec_.stdin_once) close_stdin();
    return true;
  });
}

// Answers whether there may be more.
bool ShimContainer::read_output(CriLog::Source source) {
  base::UniqueFd& fd = output_[static_cast<int>(source)];
  char buffer[16384];
  ssize_t n = read(fd.get(), buffer, sizeof buffer);
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return errno == EINTR;
  if (n <= 0) {  // the end, or EIO: the terminal's last user has gone
    fd.reset();
    return false;
  }
  std::string_view bytes(buffer, static_cast<size_t>(n));
  log_.write(source, bytes, wall_clock_ns());
  for (Attacher& a : attachers_) {
    int i = static_cast<int>(source);
    if (a.fds[i].valid()) a.pending[i] += bytes;
  }
  flush_attachers();
  return true;
}

void ShimContainer::flush_attachers() {
  bool over = progress_.state == ContainerState::kExited;
  for (Attacher& a : attachers_) {
    for (int i = 0; i < 2; i++) {
      while (a.fds[i].valid() && !a.pending[i].empty()) {
        ssize_t n = write(a.fds[i].get(), a.pending[i].data(), a.pending[i].size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) break;
        if (n < 0)
          a.fds[i].reset();
        else
          a.pending[i].erase(0, static_cast<size_t>(n));
      }
      if (!a.fds[i].valid()) a.pending[i].clear();
      if (over && a.pending[i].empty()) a.fds[i].reset();
    }
  }
}

void ShimContainer::exited(int wait_status) {
  start_decided();
  progress_.finished_at_ns = wall_clock_ns();
  progress_.exit_code =
      WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
  progress_.oom_killed = oom_killed(spec_.memory_events);
  if (!progress_.error.empty()) progress_.exit_code = 128;
  // Where the pid namespace was not its own, others of it may live on.
  if (spec_.pid != NamespaceMode::kContainer) kill_all();
  progress_.state = ContainerState::kExited;
  // Every writer is dead, so what can be read now is all there will ever be.
  for (auto source : {CriLog::Source::kStdout, CriLog::Source::kStderr}) {
    while (output_[static_cast<int>(source)].valid() && read_output(source)) {
    }
    output_[static_cast<int>(source)].reset();
  }
  log_.finish(wall_clock_ns());
  input_.reset();
  pidfd_.reset();
  flush_attachers();
  seccomp_.clear();
  record_exit();
}

void ShimContainer::record_exit() {
  std::string text = json::write(to_json(progress_));
  Result<void> written = write_file(spec_.folder + "/exit.json", text, false);
  if (!written.ok()) fprintf(stderr, "%s\n", written.error().message.c_str());
}

Result<void> ShimContainer::kill(int signal) {
  if (!pidfd_.valid()) return {};
  if (syscall(SYS_pidfd_send_signal, pidfd_.get(), signal, nullptr, 0) != 0 && errno != ESRCH) {
    return errno_error(errno, fmt::format("signal container {}", spec_.id));
  }
  return {};
}

void ShimContainer::kill_all() {
  [[maybe_unused]] Result<void> ignored = kill(SIGKILL);
  if (spec_.pid == NamespaceMode::kContainer) return;  // the namespace dies with its first process
  if (!spec_.cgroup_unified.empty()) {
    base::UniqueFd fd(open((spec_.cgroup_unified + "/cgroup.kill").c_str(), O_WRONLY | O_CLOEXEC));
    if (fd.valid() && write(fd.get(), "1", 1) == 1) return;
  }
  for (const std::string& tasks : spec_.cgroup_tasks) {
    std::ifstream file(tasks);
    for (int pid; file >> pid;) ::kill(pid, SIGKILL);
  }
}

base::UniqueFd ShimContainer::attach(base::UniqueFd out, base::UniqueFd err, bool takes_input) {
  Attacher attacher;
  attacher.fds[0] = std::move(out);
  attacher.fds[1] = std::move(err);
  attacher.takes_input = takes_input;
  for (base::UniqueFd& fd : attacher.fds) {
    if (fd.valid()) fcntl(fd.get(), F_SETFL, O_NONBLOCK);
  }
  attachers_.push_back(std::move(attacher));
  const base::UniqueFd& input = spec_.tty ? output_[0] : input_;
  if (!takes_input || !input.valid()) return base::UniqueFd();
  return base::UniqueFd(fcntl(input.get(), F_DUPFD_CLOEXEC, 0));
}

void ShimContainer::close_stdin() { input_.reset(); }

}  // namespace knarr::runtime
