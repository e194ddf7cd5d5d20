// One container as its shim sees it: its process, its streams and log, and who is attached.
//
//   kCreated --start--> (child forked) --status pipe closes--> kRunning --reaped--> kExited
//                                      --'E' on the pipe-----> kExited, with an error
#pragma once

#include <list>
#include <memory>
#include <string>

#include "base/unique_fd.h"
#include "runtime/cri_log.h"
#include "runtime/image/user.h"
#include "runtime/init.h"
#include "runtime/poller.h"
#include "runtime/spec.h"

namespace knarr::runtime {

int64_t wall_clock_ns();

// Reads what a child reports before it execs.
class StatusPipe {
 public:
  // Makes the pipe; answers the end for the child.
  Result<int> open();
  bool is_open() const { return read_.valid(); }
  int fd() const { return read_.get(); }
  void close_child_end() { write_.reset(); }
  // Takes what is there. True when the pipe has closed: `error` tells how it went.
  bool drain();

  std::string identity;  // JSON
  int pid = 0;
  std::string error;

 private:
  base::UniqueFd read_;
  base::UniqueFd write_;
  std::string text_;
};

class ShimContainer {
 public:
  ShimContainer(LaunchSpec spec, std::string seccomp);

  // Forks the child, into the pid namespace of that process (a pidfd) if there is one. The error is
  // what a failed start says.
  Result<void> start(uint64_t extra_namespaces, int join_pids_of);
  void want(Poller& poller);
  bool starting() const { return status_.is_open(); }
  int status_fd() const { return status_.fd(); }
  // Looks whether the child has exec'd, or told why it could not (progress().error).
  bool start_decided();
  // The process was reaped. Drains its streams and writes the exit file.
  void exited(int wait_status);

  Result<void> kill(int signal);
  void kill_all();  // its whole cgroup or pid namespace
  // Copies of output go to these pipes from now on. Answers a descriptor for input, -1 if none.
  base::UniqueFd attach(base::UniqueFd out, base::UniqueFd err, bool takes_input);
  void close_stdin();
  Result<void> reopen_log() { return log_.reopen(); }

  const LaunchSpec& spec() const { return spec_; }
  const std::string& seccomp() const { return seccomp_; }
  const Identity& identity() const { return identity_; }
  const ContainerProgress& progress() const { return progress_; }
  int pidfd() const { return pidfd_.get(); }

 private:
  struct Attacher {
    base::UniqueFd fds[2];   // by CriLog::Source
    std::string pending[2];  // what the pipe did not take yet
    bool takes_input = false;
  };

  Result<void> open_streams(ProcessFds& child);
  void take_console();
  bool read_output(CriLog::Source source);
  void flush_attachers();
  bool blocked() const;
  void record_exit();

  LaunchSpec spec_;
  std::string seccomp_;
  ContainerProgress progress_;
  Identity identity_;
  StatusPipe status_;
  CriLog log_;
  base::UniqueFd pidfd_;
  base::UniqueFd output_[2];  // by CriLog::Source; [0] is the terminal's master when there is one
  base::UniqueFd input_;
  base::UniqueFd console_;
  std::vector<base::UniqueFd> child_ends_;
  std::list<Attacher> attachers_;
};

}  // namespace knarr::runtime
