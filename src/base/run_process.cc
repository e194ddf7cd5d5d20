#include "base/run_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "base/format.h"
#include "base/unique_fd.h"

extern char** environ;

namespace knarr::base {

namespace {

// Input and output are files in memory: no pipe can fill up, so nothing has to be pumped.
Result<UniqueFd> memory_file(std::string_view content) {
  UniqueFd fd(memfd_create("knarr-process", MFD_CLOEXEC));
  if (!fd.valid()) return errno_error(errno, "memfd_create");
  while (!content.empty()) {
    ssize_t n = write(fd.get(), content.data(), content.size());
    if (n < 0) return errno_error(errno, "write to a memory file");
    content.remove_prefix(static_cast<size_t>(n));
  }
  if (lseek(fd.get(), 0, SEEK_SET) < 0) return errno_error(errno, "rewind a memory file");
  return fd;
}

std::string content_of(const UniqueFd& fd) {
  std::string out;
  char buffer[8192];
  ssize_t n;
  while ((n = pread(fd.get(), buffer, sizeof buffer, static_cast<off_t>(out.size()))) > 0) {
    out.append(buffer, static_cast<size_t>(n));
  }
  return out;
}

// The signals of the parent (SIGPIPE ignored, masks of its threads) are not the child's.
class SpawnSettings {
 public:
  SpawnSettings(int in, int out, int err) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_adddup2(&actions_, in, 0);
    posix_spawn_file_actions_adddup2(&actions_, out, 1);
    posix_spawn_file_actions_adddup2(&actions_, err, 2);
    posix_spawnattr_init(&attributes_);
    sigset_t none, pipe;
    sigemptyset(&none);
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &pipe);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

}  // namespace

Result<ProcessResult> run_process(const std::vector<std::string>& argv, std::string_view input) {
  TRY_ASSIGN(UniqueFd in, memory_file(input));
  TRY_ASSIGN(UniqueFd out, memory_file({}));
  TRY_ASSIGN(UniqueFd err, memory_file({}));
  SpawnSettings settings(in.get(), out.get(), err.get());
  std::vector<char*> arguments;
  for (const std::string& a : argv) arguments.push_back(const_cast<char*>(a.c_str()));
  arguments.push_back(nullptr);

  pid_t pid = 0;
  int failed = posix_spawn(&pid, argv[0].c_str(), settings.actions(), settings.attributes(),
                           arguments.data(), environ);
  if (failed != 0) return errno_error(failed, "run " + argv[0]);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return errno_error(errno, "wait for " + argv[0]);
  }
  ProcessResult result;
  result.pid = pid;
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.out = content_of(out);
  result.err = content_of(err);
  return result;
}

std::string find_program(std::string_view name) {
  const char* path = getenv("PATH");
  std::string folders = std::string(path ? path : "") + ":/usr/local/sbin:/usr/sbin:/sbin";
  size_t begin = 0;
  while (begin <= folders.size()) {
    size_t end = std::min(folders.find(':', begin), folders.size());
    std::string candidate = fmt::format("{}/{}", folders.substr(begin, end - begin), name);
    if (end > begin && access(candidate.c_str(), X_OK) == 0) return candidate;
    begin = end + 1;
  }
  return {};
}

}  // namespace knarr::base
