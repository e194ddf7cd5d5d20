#include "runtime/shim_server.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/format.h"

namespace knarr::runtime {

int ShimServer::run(int listener, int signals) {
  while (true) {
    Poller poller;
    poller.want(listener, POLLIN, [&](short) { accept_connection(listener); });
    poller.want(signals, POLLIN, [&](short) { read_signals(signals); });
    for (Connection& c : connections_) {
      poller.want(c.fd.get(), POLLIN, [this, &c](short) { read_messages(c); });
    }
    for (auto& [id, entry] : containers_) {
      entry.container->want(poller);
      if (entry.container->starting())
        poller.want(entry.container->status_fd(), POLLIN, [](short) {});
    }
    for (Exec& exec : execs_) {
      if (exec.status.is_open()) poller.want(exec.status.fd(), POLLIN, [](short) {});
    }
    poller.turn();
    settle();
    connections_.remove_if([](const Connection& c) { return c.dead; });
    if (stopping_ && all_ended()) break;
  }
  for (const Request& request : waiting_for_end_) answer(request, Message(), {});
  return 0;
}

void ShimServer::accept_connection(int listener) {
  base::UniqueFd fd(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
  if (!fd.valid()) return;
  connections_.push_back(Connection{next_connection_++, std::move(fd), {}, false});
}

void ShimServer::read_messages(Connection& connection) {
  Result<bool> open = connection.reader.fill(connection.fd.get());
  Message message;
  while (true) {
    Result<bool> more = connection.reader.next(message);
    if (!more.ok()) connection.dead = true;
    if (!more.ok() || !*more) break;
    handle(Request{connection.id, message.body["req"].as_int()}, message);
  }
  if (!open.ok() || !*open) connection.dead = true;
}

void ShimServer::handle(const Request& request, Message& message) {
  Message out;
  bool later = false;
  Result<void> result = setup_;
  if (setup_.ok()) result = dispatch(request, message.body["op"].text(), message, out, later);
  if (!setup_.ok()) stopping_ = true;
  if (!later || !result.ok()) answer(request, std::move(out), result);
}

Result<void> ShimServer::dispatch(const Request& request, const std::string& op, Message& in,
                                  Message& out, bool& later) {
  const json::Value& body = in.body;
  if (op == "hello") {
    out.body.set("pid", static_cast<int64_t>(getpid()));
    return {};
  }
  if (op == "list") {
    json::Value& list = out.body.member("containers");
    list = json::Value::array();
    for (auto& [id, entry] : containers_) list.push_back(to_json(entry.container->progress()));
    json::Value& execs = out.body.member("execs");
    execs = json::Value::array();
    for (const Exec& exec : execs_) execs.push_back(exec.spec.id);
    return {};
  }
  if (op == "shutdown") {
    kill_everything();
    waiting_for_end_.push_back(request);
    later = true;
    return {};
  }
  if (op == "socket") {
    int family = body["family"].as_int() == 6 ? AF_INET6 : AF_INET;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return errno_error(errno, "make a socket in the pod");
    out.fds.emplace_back(fd);
    return {};
  }
  // An older shim would start it among the host's processes: so it has a name that one does not
  // know.
  if (op == "start" || op == "start_beside") {
    later = true;
    return start(request, in);
  }
  if (op == "exec") {
    later = true;
    return exec(request, in);
  }
  if (op == "attach") return attach(in, out);
  if (op == "signal_exec") return signal_exec(body);
  if (op == "forget") {
    auto found = containers_.find(body["id"].text());
    if (found != containers_.end()) found->second.forgotten = true;
    return {};
  }
  TRY_ASSIGN(ShimContainer * container, find(body));
  if (op == "signal") return container->kill(static_cast<int>(body["signal"].as_int()));
  if (op == "kill") {
    container->kill_all();
    return {};
  }
  if (op == "close_stdin") {
    container->close_stdin();
    return {};
  }
  if (op == "reopen_log") return container->reopen_log();
  return make_error(Code::kBadRequest, fmt::format("a shim knows no \"{}\"", op));
}

Result<ShimContainer*> ShimServer::find(const json::Value& body) {
  auto found = containers_.find(body["id"].text());
  if (found == containers_.end()) {
    return make_error(Code::kNotFound,
                      fmt::format("container {} is not running", body["id"].text()));
  }
  return found->second.container.get();
}

// The descriptor of its process.
Result<int> ShimServer::find_running(const std::string& id) {
  auto found = containers_.find(id);
  if (found != containers_.end() &&
      found->second.container->progress().state == ContainerState::kRunning) {
    return found->second.container->pidfd();
  }
  return make_error(Code::kInvalid,
                    fmt::format("invalid target container: container \"{}\" is not running", id));
}

Result<void> ShimServer::start(const Request& request, Message& in) {
  if (stopping_) return make_error(Code::kServiceUnavailable, "the sandbox is being stopped");
  LaunchSpec spec;
  from_json(in.body["spec"], spec);
  std::string id = spec.id;
  uint64_t namespaces = spec.pid == NamespaceMode::kContainer ? CLONE_NEWPID : 0;
  int join_pids_of = -1;
  if (spec.pid == NamespaceMode::kTarget) {
    TRY_ASSIGN(join_pids_of, find_running(spec.pid_target));
  }
  auto container = std::make_unique<ShimContainer>(std::move(spec), std::move(in.blob));
  TRY(container->start(namespaces, join_pids_of));
  containers_[id] = Entry{std::move(container), request, false, false, false};
  return {};
}

Result<void> ShimServer::exec(const Request& request, Message& in) {
  Exec exec;
  from_json(in.body["spec"], exec.spec);
  exec.request = request;
  TRY_ASSIGN(ShimContainer * container, find(json::Value::object({{"id", exec.spec.container}})));
  if (container->progress().state != ContainerState::kRunning) {
    return make_error(Code::kNotFound, "container is not running");
  }
  ProcessFds fds;
  base::UniqueFd far;
  // Which of the three streams came along stands in "streams": "in", "out", "err".
  size_t next = 0;
  for (const json::Value& stream : in.body["streams"].elements()) {
    if (next == in.fds.size()) break;
    int fd = in.fds[next++].get();
    if (stream.as_string() == "in") fds.in = fd;
    if (stream.as_string() == "out") fds.out = fd;
    if (stream.as_string() == "err") fds.err = fd;
  }
  if (exec.spec.tty) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
      return errno_error(errno, "socketpair");
    }
    exec.console.reset(pair[0]);
    far.reset(pair[1]);
    fds.console = pair[1];
  }
  TRY_ASSIGN(fds.status, exec.status.open());
  const LaunchSpec& spec = container->spec();
  base::UniqueFd cgroup;
  if (!spec.cgroup_unified.empty()) {
    cgroup.reset(open(spec.cgroup_unified.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  int pid = fork_into(0, cgroup.get());
  if (pid == 0) {
    run_exec(spec, container->identity(), exec.spec, container->seccomp(), container->pidfd(), fds);
  }
  if (pid < 0) return errno_error(errno, "fork");
  // In a pid namespace of the container the child is only the helper that forks the process.
  if (!has_other_pids(spec.pid)) exec.pid = pid;
  exec.status.close_child_end();
  execs_.push_back(std::move(exec));
  return {};
}

Result<void> ShimServer::attach(Message& in, Message& out) {
  TRY_ASSIGN(ShimContainer * container, find(in.body));
  if (container->progress().state != ContainerState::kRunning || in.fds.empty()) {
    return make_error(Code::kNotFound, "container is not running");
  }
  base::UniqueFd err = in.fds.size() > 1 ? std::move(in.fds[1]) : base::UniqueFd();
  base::UniqueFd input =
      container->attach(std::move(in.fds[0]), std::move(err), in.body["stdin"].as_bool());
  if (input.valid()) out.fds.push_back(std::move(input));
  return {};
}

Result<void> ShimServer::signal_exec(const json::Value& body) {
  for (Exec& exec : execs_) {
    if (exec.spec.id == body["id"].text() && exec.pid > 0 && !exec.ended) {
      kill(exec.pid, static_cast<int>(body["signal"].as_int()));
    }
  }
  return {};
}

void ShimServer::read_signals(int signals) {
  signalfd_siginfo info;
  while (read(signals, &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGTERM) kill_everything();
  }
  reap();
}

void ShimServer::reap() {
  int status;
  // What a child reported before it ended is read first: its number may stand there. The helper of
  // an exec is reaped before its child can have ended, so the pipe is complete by then.
  for (int pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    // The kernel has killed all that was in its namespace, and lets nothing more be born there.
    if (pid == init_) kill_everything();
    for (Exec& exec : execs_) {
      if (exec.status.is_open()) exec.status.drain();
      if (exec.pid == 0) exec.pid = exec.status.pid;
    }
    for (auto& [id, entry] : containers_) {
      const ContainerProgress& progress = entry.container->progress();
      if (progress.pid == pid && progress.state != ContainerState::kExited) {
        entry.container->exited(status);
      }
    }
    for (Exec& exec : execs_) {
      if (exec.pid != pid || exec.ended) continue;
      exec.ended = true;
      exec.code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
  }
}

// After each turn: answers what has been decided, in the order in which it happened.
void ShimServer::settle() {
  for (auto& [id, entry] : containers_) {
    if (!entry.answered && entry.container->start_decided()) {
      entry.answered = true;
      const ContainerProgress& progress = entry.container->progress();
      Message out;
      out.body.set("container", to_json(progress));
      Result<void> result;
      if (!progress.error.empty()) result = make_error(Code::kInvalid, progress.error);
      answer(entry.starter, std::move(out), result);
    }
    if (!entry.announced && entry.container->progress().state == ContainerState::kExited) {
      entry.announced = true;
      Message event;
      event.body.set("op", "exit").set("container", to_json(entry.container->progress()));
      announce(event);
    }
  }
  std::erase_if(containers_,
                [](const auto& item) { return item.second.forgotten && item.second.announced; });
  for (Exec& exec : execs_) {
    if (!exec.answered) answer_exec(exec);
    if (!exec.answered || !exec.ended) continue;
    Message event;
    event.body.set("op", "exec_exit").set("id", exec.spec.id).set("code", exec.code);
    announce(event);
  }
  execs_.remove_if([](const Exec& exec) { return exec.answered && exec.ended; });
}

void ShimServer::answer_exec(Exec& exec) {
  if (exec.status.is_open() && !exec.status.drain()) {
    if (exec.pid == 0) exec.pid = exec.status.pid;
    return;
  }
  exec.answered = true;
  if (exec.pid == 0) exec.pid = exec.status.pid;
  // Somebody killed the helper: there is no process whose end could be told.
  if (exec.pid == 0 && exec.status.error.empty()) {
    exec.status.error = "the process that was to start it has died";
  }
  if (!exec.status.error.empty()) {
    exec.ended = exec.ended || exec.pid == 0;
    answer(exec.request, Message(), make_error(Code::kInvalid, exec.status.error));
    return;
  }
  Message out;
  if (exec.console.valid()) {
    out.fds.push_back(receive_descriptor(exec.console.get()));
    exec.console.reset();
  }
  answer(exec.request, std::move(out), {});
}

void ShimServer::answer(const Request& request, Message message, const Result<void>& result) {
  message.body.set("req", request.number);
  if (!result.ok()) {
    message.body.set("error", result.error().message);
    message.body.set("code", static_cast<int64_t>(result.error().code));
  }
  for (Connection& c : connections_) {
    if (c.id == request.connection) send(c, message);
  }
}

// Messages are small: whoever lets the socket fill up has stopped listening, and lists again later.
void ShimServer::send(Connection& connection, const Message& message) {
  if (connection.dead) return;
  std::string bytes = frame(message);
  Result<size_t> sent = send_some(connection.fd.get(), bytes, message.fds);
  if (!sent.ok() || *sent != bytes.size()) connection.dead = true;
}

void ShimServer::announce(const Message& message) {
  for (Connection& c : connections_) send(c, message);
}

bool ShimServer::all_ended() const {
  for (const auto& [id, entry] : containers_) {
    if (entry.container->progress().state != ContainerState::kExited) return false;
  }
  return true;
}

void ShimServer::kill_everything() {
  stopping_ = true;
  for (auto& [id, entry] : containers_) entry.container->kill_all();
}

}  // namespace knarr::runtime
