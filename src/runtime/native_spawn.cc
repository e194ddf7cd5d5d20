// Starting a shim. Blocks; runs on the pool. The listening socket is made here, so that knarr can
// connect at once and needs not wait for the shim to come up.
#include <fcntl.h>
#include <linux/mount.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "base/file.h"
#include "base/format.h"
#include "base/log.h"
#include "runtime/image/files.h"
#include "runtime/native.h"
#include "runtime/shim.h"

extern char** environ;

namespace knarr::runtime {

namespace {

constexpr int kListener = 3;

// Through a descriptor of the folder: a socket's path has room for 107 characters only.
Result<sockaddr_un> socket_address(const std::string& folder, base::UniqueFd& directory) {
  directory.reset(open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return errno_error(errno, "open " + folder);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/shim.sock",
           directory.get());
  return address;
}

Result<base::UniqueFd> listen_in(const std::string& folder) {
  base::UniqueFd directory;
  TRY_ASSIGN(sockaddr_un address, socket_address(folder, directory));
  base::UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return errno_error(errno, "socket");
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      listen(fd.get(), 16) != 0) {
    return errno_error(errno, "listen in " + folder);
  }
  return fd;
}

// The program on a read-only mount that is nowhere attached. A container can reach the program of
// its shim through /proc/PID/exe, and must not be able to write it (CVE-2019-5736). Invalid where
// the kernel refuses.
base::UniqueFd sealed_program(const std::string& executable) {
  base::UniqueFd fd(static_cast<int>(
      syscall(SYS_open_tree, AT_FDCWD, executable.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID;
  if (fd.valid() && syscall(SYS_mount_setattr, fd.get(), "", AT_EMPTY_PATH, &attributes,
                            sizeof attributes) == 0) {
    return fd;
  }
  static std::atomic<bool> said = false;
  Error error = errno_error(errno, "mount " + executable + " read-only");
  if (!said.exchange(true)) {
    base::log(base::Level::kWarning, "runtime", "shims run from the file itself: {}",
              error.message);
  }
  return base::UniqueFd();
}

Result<void> run_shim(const std::string& executable, const std::string& folder, int listener) {
  base::UniqueFd sealed = sealed_program(executable);
  std::string program = sealed.valid() ? fmt::format("/proc/self/fd/{}", sealed.get()) : executable;
  std::string command = kShimCommand;
  std::string name = "knarr";
  char* argv[] = {name.data(), command.data(), const_cast<char*>(folder.c_str()), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  std::string log = folder + "/shim.log";
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
  posix_spawn_file_actions_adddup2(&actions, 0, 1);
  posix_spawn_file_actions_addopen(&actions, 2, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, listener, kListener);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t all;
  sigset_t none;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  pid_t pid = 0;
  int failed = posix_spawn(&pid, program.c_str(), &actions, &attributes, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (failed != 0) return errno_error(failed, "run " + executable);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    Result<std::string> said = base::read_file(log);
    return make_error(Code::kInternalError, "the shim did not start: " + (said.ok() ? *said : log));
  }
  return {};
}

Result<void> mount_shm(const std::string& path) {
  TRY(base::make_dirs(path));
  if (mount("shm", path.c_str(), "tmpfs", MS_NOSUID | MS_NOEXEC | MS_NODEV,
            "mode=1777,size=65536k") != 0) {
    return errno_error(errno, "mount tmpfs at " + path);
  }
  return {};
}

}  // namespace

Result<base::UniqueFd> connect_shim(const std::string& folder) {
  base::UniqueFd directory;
  TRY_ASSIGN(sockaddr_un address, socket_address(folder, directory));
  // Not blocking: the queue of a shim that does not accept may be full.
  base::UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return errno_error(errno, "socket");
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return fd;
  if (errno == ECONNREFUSED || errno == ENOENT) return base::UniqueFd();
  return errno_error(errno, "connect to the shim of " + folder);
}

Result<base::UniqueFd> spawn_shim(const std::string& executable, const std::string& folder,
                                  const SandboxRecord& record) {
  TRY(base::make_dirs(folder, 0700));
  TRY(write_file(folder + "/sandbox.json", json::write(to_json(record)), false));
  if (!record.shm_path.empty()) TRY(mount_shm(record.shm_path));
  TRY_ASSIGN(base::UniqueFd listener, listen_in(folder));
  TRY(run_shim(executable, folder, listener.get()));
  TRY_ASSIGN(base::UniqueFd socket, connect_shim(folder));
  if (!socket.valid()) return make_error(Code::kInternalError, "the shim ended at its start");
  return socket;
}

void kill_shim(const std::string& folder) {
  base::UniqueFd fd(open((folder + "/shim.lock").c_str(), O_RDWR | O_CLOEXEC));
  struct flock lock {};
  lock.l_type = F_WRLCK;
  if (!fd.valid() || fcntl(fd.get(), F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) return;
  pid_t pid = lock.l_pid;
  base::UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  // The number may have become another's in between: the holder is asked for again.
  lock.l_type = F_WRLCK;
  if (!process.valid() || fcntl(fd.get(), F_GETLK, &lock) != 0) return;
  if (lock.l_type == F_UNLCK || lock.l_pid != pid) return;
  syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0);
}

void unmount_shm(const SandboxRecord& record) {
  if (!record.shm_path.empty()) umount2(record.shm_path.c_str(), MNT_DETACH);
}

}  // namespace knarr::runtime
