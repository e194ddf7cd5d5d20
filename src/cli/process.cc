#include "cli/process.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "base/unique_fd.h"

namespace knarr::cli {

namespace {

// Every watch is a descriptor: the soft limit, often 1024, is for programs that use select().
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = std::max(limit.rlim_cur, std::min<rlim_t>(limit.rlim_max, 1048576));
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

SignalWatch::SignalWatch(base::Loop& loop, int signal, std::function<void()> fn)
    : handle_(new uv_signal_t), fn_(std::move(fn)) {
  uv_signal_init(loop.uv(), handle_);
  handle_->data = this;
  uv_signal_start(
      handle_, [](uv_signal_t* h, int) { static_cast<SignalWatch*>(h->data)->fn_(); }, signal);
}

SignalWatch::~SignalWatch() { base::close_handle(handle_); }

void notify_service_manager(const char* state) {
  const char* path = getenv("NOTIFY_SOCKET");
  sockaddr_un address = {};
  if (path == nullptr || std::strlen(path) >= sizeof address.sun_path) return;
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, path);
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  base::UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  socklen_t size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + std::strlen(path));
  sendto(fd.get(), state, std::strlen(state), MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&address),
         size);
}

void prepare_process() {
  signal(SIGPIPE, SIG_IGN);
  raise_descriptor_limit();
}

}  // namespace knarr::cli
