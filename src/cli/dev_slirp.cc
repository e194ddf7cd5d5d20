#include "cli/dev_slirp.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/file.h"
#include "base/format.h"
#include "base/json.h"
#include "base/run_process.h"

namespace knarr::cli {

namespace {

constexpr int kMostStartMs = 10000;

Result<base::UniqueFd> connect_to(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return make_error(Code::kBadRequest, path + " is too long for a socket's path");
  }
  std::strcpy(address.sun_path, path.c_str());
  base::UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return errno_error(errno, "connect to " + path);
  }
  return fd;
}

// A connection is a question and its answer.
Result<json::Value> ask(const std::string& path, const char* verb, json::Value arguments) {
  TRY_ASSIGN(base::UniqueFd fd, connect_to(path));
  std::string text =
      json::write(json::Value::object({{"execute", verb}, {"arguments", std::move(arguments)}}));
  if (send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(text.size()) ||
      shutdown(fd.get(), SHUT_WR) != 0) {
    return errno_error(errno, "write to " + path);
  }
  std::string answer;
  char buffer[4096];
  ssize_t n;
  while ((n = read(fd.get(), buffer, sizeof buffer)) > 0) {
    answer.append(buffer, static_cast<size_t>(n));
  }
  TRY_ASSIGN(json::Value value, json::parse(answer));
  if (!value["error"].is_null()) {
    return make_error(Code::kUnknown, value["error"]["desc"].text());
  }
  return value;
}

[[noreturn]] void run(const std::string& program, const std::string& pid, int ready, int life,
                      int log, const std::string& socket) {
  // As numbers that do not move: dup clears "close on exec".
  std::string ready_fd = fmt::format("{}", dup(ready)), exit_fd = fmt::format("{}", dup(life));
  const char* argv[] = {
      "slirp4netns",  "--configure",    "--mtu",     "65520",         "--disable-host-loopback",
      "--ready-fd",   ready_fd.c_str(), "--exit-fd", exit_fd.c_str(), "--api-socket",
      socket.c_str(), pid.c_str(),      "tap0",      nullptr};
  setsid();
  dup2(open("/dev/null", O_RDONLY), 0);
  dup2(log, 1);
  dup2(log, 2);
  if (chdir("/") == 0) execv(program.c_str(), const_cast<char**>(argv));
  _exit(127);
}

}  // namespace

Result<int> DevSlirp::start(int pid, const base::UniqueFd& life) const {
  std::string program = base::find_program("slirp4netns");
  if (program.empty()) return make_error(Code::kUnknown, "slirp4netns is not installed");
  unlink(socket_path().c_str());
  base::UniqueFd log(open(log_path().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  int ready[2];
  if (!log.valid() || pipe2(ready, O_CLOEXEC) != 0) return errno_error(errno, "start slirp4netns");
  base::UniqueFd heard(ready[0]), said(ready[1]);
  std::string target = fmt::format("{}", pid);
  pid_t child = fork();
  if (child < 0) return errno_error(errno, "fork");
  if (child == 0) run(program, target, said.get(), life.get(), log.get(), socket_path());
  said.reset();
  pollfd wait = {heard.get(), POLLIN, 0};
  char one = 0;
  if (poll(&wait, 1, kMostStartMs) == 1 && read(heard.get(), &one, 1) == 1) return child;
  auto text = base::read_file(log_path());
  return make_error(Code::kUnknown, "slirp4netns: " + (text.ok() ? *text : "did not start"));
}

Result<void> DevSlirp::forward(const std::string& host_address, int port,
                               const std::string& protocol) const {
  json::Value wanted = json::Value::object({{"proto", protocol},
                                            {"host_addr", host_address},
                                            {"host_port", port},
                                            {"guest_port", port}});
  auto done = ask(socket_path(), "add_hostfwd", std::move(wanted));
  if (done.ok()) return {};
  return make_error(Code::kUnknown,
                    fmt::format("port {}/{} of {}: {} (in use, or below 1024?)", port, protocol,
                                host_address, done.error().message));
}

Result<void> DevSlirp::unforward(int port, const std::string& protocol) const {
  TRY_ASSIGN(json::Value list, ask(socket_path(), "list_hostfwd", json::Value::object({})));
  // Within "return" as other answers are, or, of slirp4netns 1.2, by themselves.
  const json::Value& entries = (list.has("return") ? list["return"] : list)["entries"];
  for (const json::Value& entry : entries.elements()) {
    if (entry["host_port"].as_int() != port || entry["proto"].as_string() != protocol) continue;
    TRY(ask(socket_path(), "remove_hostfwd", json::Value::object({{"id", entry["id"].as_int()}})));
  }
  return {};
}

}  // namespace knarr::cli
