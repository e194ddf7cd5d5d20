// The nodes' processes: started detached in their namespaces, ready when they say so to the socket
// that service managers give (sd_notify(3)).
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <memory>

#include "base/file.h"
#include "base/format.h"
#include "base/unique_fd.h"
#include "cli/dev_cluster.h"
#include "cli/dev_network.h"
#include "cli/dev_process.h"
#include "cli/dev_user_space.h"

namespace knarr::cli {

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kMostStart = std::chrono::seconds(60);
constexpr size_t kMostLog = 1500;

std::string resolv_conf(const DevPlace& place) {
  if (place.rootless) return dev_resolv_conf(place.run_root);
  constexpr char kUsual[] = "/etc/resolv.conf", kResolved[] = "/run/systemd/resolve/resolv.conf";
  auto text = base::read_file(kUsual);
  // A name server on the host's loopback is not one in the nodes' namespaces.
  bool local = text.ok() && text->find("nameserver 127.") != std::string::npos;
  return local && base::file_exists(kResolved) ? kResolved : kUsual;
}

std::vector<std::string> node_arguments(const DevCluster& c, int node, const DevNetwork& network) {
  std::string data = c.data_of(node);
  std::vector<std::string> out = {"knarr",         node == 0 ? "server" : "agent",
                                  "--config",      data + "/config.yaml",
                                  "--data-dir",    data,
                                  "--run-dir",     c.run_of(node),
                                  "--log-dir",     data + "/pods",
                                  "--node-name",   c.node_name(node),
                                  "--node-ip",     network.address(node),
                                  "--cgroup-root", c.cgroup_of(node),
                                  "--resolv-conf", resolv_conf(c.place)};
  if (node == 0) {
    out.insert(out.end(), {"--write-kubeconfig", data + "/kubeconfig"});
  } else {
    out.insert(out.end(), {"--server", "https://" + network.address(0) + ":6443", "--token-file",
                           c.data_of(0) + "/server/token"});
  }
  return out;
}

// KNARR_* variables are for a knarr of the machine's own.
std::vector<std::string> node_environment(const std::string& notify) {
  std::vector<std::string> out = {"NOTIFY_SOCKET=" + notify};
  for (char** e = environ; *e != nullptr; e++) {
    bool ours = std::strncmp(*e, "KNARR_", 6) == 0 || std::strncmp(*e, "NOTIFY_SOCKET=", 14) == 0;
    if (!ours) out.emplace_back(*e);
  }
  return out;
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (const std::string& t : texts) out.push_back(const_cast<char*>(t.c_str()));
  out.push_back(nullptr);
  return out;
}

class StartingNode {
 public:
  StartingNode(const DevCluster& cluster, int node) : cluster_(cluster), node_(node) {}
  ~StartingNode() {
    if (!socket_path_.empty()) unlink(socket_path_.c_str());
  }

  Result<void> start() {
    TRY(base::make_dirs(cluster_.data_of(node_), 0700));
    TRY(base::make_dirs(cluster_.run(), 0755));
    TRY(base::write_file(cluster_.data_of(node_) + "/config.yaml", "", 0600,
                         base::Durability::kPlain));
    TRY(listen());
    TRY(spawn());
    return base::write_file(cluster_.pid_file(node_), process_record(pid_), 0644,
                            base::Durability::kPlain);
  }

  Result<void> await_ready() {
    auto end = Clock::now() + kMostStart;
    while (true) {
      auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
      pollfd fds[] = {{socket_.get(), POLLIN, 0}, {process_.get(), POLLIN, 0}};
      int n = left > 0 ? poll(fds, 2, static_cast<int>(left)) : 0;
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return failed("is not ready after a minute");
      char text[256] = "";
      if (recv(socket_.get(), text, sizeof text - 1, MSG_DONTWAIT) > 0) {
        if (std::strstr(text, "READY=1") != nullptr) return {};
      } else if (fds[1].revents != 0) {
        return failed("ended");
      }
    }
  }

 private:
  Result<void> listen() {
    std::string path = cluster_.run_of(node_) + ".notify";
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
      return make_error(Code::kBadRequest, "the name of the cluster is too long");
    }
    std::strcpy(address.sun_path, path.c_str());
    unlink(path.c_str());
    socket_.reset(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      return errno_error(errno, "listen on " + path);
    }
    socket_path_ = path;
    return {};
  }

  Result<void> spawn() {
    DevNetwork network(cluster_);
    auto arguments = node_arguments(cluster_, node_, network);
    auto environment = node_environment(socket_path_);
    auto argv = pointers(arguments), envp = pointers(environment);
    std::string log_path = cluster_.log_file(node_), inside_path = network.namespace_of(node_);
    base::UniqueFd log(open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    base::UniqueFd inside(open(inside_path.c_str(), O_RDONLY | O_CLOEXEC));
    base::UniqueFd nothing(open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!log.valid()) return errno_error(errno, "open " + log_path);
    if (!inside.valid()) return errno_error(errno, "open " + inside_path);
    std::error_code ignored;
    std::string program = std::filesystem::read_symlink("/proc/self/exe", ignored);
    pid_ = fork();
    if (pid_ < 0) return errno_error(errno, "fork");
    if (pid_ == 0) {
      setsid();
      if (setns(inside.get(), CLONE_NEWNET) != 0 || chdir("/") != 0) _exit(126);
      dup2(nothing.get(), 0);
      dup2(log.get(), 1);
      dup2(log.get(), 2);
      // By its path it is of the mounts that are seen here; it may have been replaced meanwhile.
      execve(program.c_str(), argv.data(), envp.data());
      execve("/proc/self/exe", argv.data(), envp.data());
      _exit(127);
    }
    process_.reset(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
    if (!process_.valid()) return errno_error(errno, "pidfd_open");
    return {};
  }

  Error failed(const char* what) {
    auto log = base::read_file(cluster_.log_file(node_));
    std::string end = log.ok() ? *log : "";
    if (end.size() > kMostLog) end = "..." + end.substr(end.size() - kMostLog);
    return make_error(Code::kUnknown, fmt::format("node {} {}; its log ends with:\n{}",
                                                  cluster_.node_name(node_), what, end));
  }

  const DevCluster& cluster_;
  int node_;
  pid_t pid_ = -1;
  base::UniqueFd socket_, process_;
  std::string socket_path_;
};

}  // namespace

int pid_of_dev_node(const DevCluster& cluster, int node) {
  auto text = base::read_file(cluster.pid_file(node));
  return text.ok() ? process_of_record(*text) : 0;
}

Result<void> start_dev_nodes(const DevCluster& cluster) {
  if (pid_of_dev_node(cluster, 0) == 0) {
    StartingNode server(cluster, 0);
    TRY(server.start());
    TRY(server.await_ready());
  }
  TRY(await_dev_server(cluster));
  std::vector<std::unique_ptr<StartingNode>> agents;
  for (int node = 1; node < cluster.nodes; node++) {
    if (pid_of_dev_node(cluster, node) != 0) continue;
    agents.push_back(std::make_unique<StartingNode>(cluster, node));
    TRY(agents.back()->start());
  }
  for (auto& agent : agents) TRY(agent->await_ready());
  return await_dev_nodes(cluster);
}

}  // namespace knarr::cli
