#include "cli/dev_cluster.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "base/format.h"
#include "base/json.h"
#include "cli/dev_process.h"
#include "cli/dev_user.h"

namespace knarr::cli {

namespace {

constexpr char kRootsData[] = "/var/lib/knarr/dev";

// As the kernel's table of mounts names it: what is mounted below must be found.
std::string real_path(const std::string& path) {
  std::error_code error;
  auto real = std::filesystem::weakly_canonical(path, error);
  return error ? path : real.string();
}

std::string short_name(int node) { return node == 0 ? "server" : "agent-" + std::to_string(node); }

}  // namespace

DevPlace DevPlace::of_caller(const std::string& dev_dir) {
  DevPlace p;
  p.rootless = geteuid() != 0;
  p.run_root = "/run/knarr-dev";
  p.dev_dir = kRootsData;
  if (p.rootless) {
    std::string run = variable("XDG_RUNTIME_DIR"), data = variable("XDG_DATA_HOME");
    if (run.empty()) run = fmt::format("/run/user/{}", geteuid());
    bool own = access(run.c_str(), W_OK) == 0;
    // Below /tmp a link would be another's.
    p.run_root = own ? real_path(run) + "/knarr-dev" : fmt::format("/tmp/knarr-dev-{}", geteuid());
    p.dev_dir = (data.empty() ? variable("HOME") + "/.local/share" : data) + "/knarr/dev";
  }
  // Absolute: the command goes to other mounts.
  if (!dev_dir.empty()) p.dev_dir = std::filesystem::absolute(dev_dir).lexically_normal();
  p.dev_dir = real_path(p.dev_dir);
  return p;
}

std::string DevCluster::node_name(int node) const { return name + "-" + short_name(node); }
std::optional<int> DevCluster::node_of(const std::string& asked) const {
  for (int node = 0; node < nodes; node++) {
    if (asked == node_name(node) || asked == short_name(node)) return node;
  }
  return std::nullopt;
}

std::string DevCluster::data_of(int node) const { return data() + "/" + short_name(node); }
std::string DevCluster::run_of(int node) const { return run() + "/" + short_name(node); }
std::string DevCluster::cgroup_of(int node) const { return cgroup_root + "-" + node_name(node); }

Result<void> DevLock::take(const std::string& run_root) {
  run_root_ = run_root;
  while (true) {
    TRY(base::make_dirs(run_root, geteuid() == 0 ? 0755 : 0700));
    fd_.reset(open(run_root.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    // Who had it removes the folder: between these, or while we wait.
    if (!fd_.valid() && errno == ENOENT) continue;
    if (!fd_.valid()) return errno_error(errno, "open " + run_root);
    int locked;
    while ((locked = flock(fd_.get(), LOCK_EX)) != 0 && errno == EINTR) {
    }
    if (locked != 0) return errno_error(errno, "lock " + run_root);
    struct stat held {
    }, now{};
    bool same = fstat(fd_.get(), &held) == 0 && stat(run_root.c_str(), &now) == 0 &&
                held.st_ino == now.st_ino;
    if (!same) continue;
    // Below /tmp others could have made it.
    if (held.st_uid == geteuid()) return {};
    return make_error(Code::kForbidden, run_root + " belongs to another user");
  }
}

// The folder goes with the last cluster: rmdir leaves one that holds something.
DevLock::~DevLock() { rmdir(run_root_.c_str()); }

Result<DevCluster> load_dev_cluster(const DevPlace& place, const std::string& name) {
  DevCluster c;
  c.name = name;
  c.place = place;
  std::string path = c.data() + "/cluster.json";
  if (!base::file_exists(path)) {
    return make_error(Code::kNotFound, "there is no cluster " + name + " (knarr dev list)");
  }
  TRY_ASSIGN(std::string text, base::read_file(path));
  TRY_ASSIGN(json::Value v, json::parse(text));
  c.cgroup_root = v["cgroupRoot"].text();
  c.nodes = static_cast<int>(v["nodes"].as_int());
  c.subnet = static_cast<int>(v["subnet"].as_int());
  for (const json::Value& p : v["publish"].elements()) c.publish.push_back(p.text());
  c.api_port = static_cast<int>(v["apiPort"].as_int());
  std::string run_root = v["runRoot"].text();
  if (!run_root.empty() && run_root != place.run_root && base::file_exists(run_root + "/" + name)) {
    return make_error(Code::kForbidden, "cluster " + name + " runs below " + run_root +
                                            ": set XDG_RUNTIME_DIR as it was for `up`");
  }
  c.kubeconfig = v["kubeconfig"].text();
  c.previous_context = v["previousContext"].text();
  c.made_kubeconfig = v["madeKubeconfig"].as_bool();
  c.made_kubeconfig_folder = v["madeKubeconfigFolder"].as_bool();
  return c;
}

Result<void> save_dev_cluster(const DevCluster& c) {
  json::Value publish = json::Value::array();
  for (const std::string& p : c.publish) publish.push_back(p);
  json::Value v = json::Value::object({{"nodes", c.nodes},
                                       {"subnet", c.subnet},
                                       {"cgroupRoot", c.cgroup_root},
                                       {"publish", std::move(publish)},
                                       {"apiPort", c.api_port},
                                       {"runRoot", c.place.run_root},
                                       {"kubeconfig", c.kubeconfig},
                                       {"previousContext", c.previous_context},
                                       {"madeKubeconfig", c.made_kubeconfig},
                                       {"madeKubeconfigFolder", c.made_kubeconfig_folder}});
  TRY(base::make_dirs(c.data(), 0700));
  return base::write_file(c.data() + "/cluster.json", json::write(v), 0600);
}

std::vector<DevCluster> list_dev_clusters(const DevPlace& place) {
  std::vector<DevCluster> out;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(place.dev_dir, ignored)) {
    auto cluster = load_dev_cluster(place, entry.path().filename());
    if (cluster.ok()) out.push_back(*std::move(cluster));
  }
  std::sort(out.begin(), out.end(),
            [](const DevCluster& a, const DevCluster& b) { return a.name < b.name; });
  return out;
}

int any_dev_node_of(const std::string& run) {
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(run, error)) {
    if (file.path().extension() != ".pid") continue;
    auto record = base::read_file(file.path());
    int pid = record.ok() ? process_of_record(*record) : 0;
    if (pid != 0) return pid;
  }
  return 0;
}

bool any_dev_cluster_runs(const std::string& run_root) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(run_root, error)) {
    if (entry.is_directory(error)) return true;
  }
  return false;
}

Result<void> remove_dev_files(const DevCluster& c) {
  std::error_code error;
  std::filesystem::remove_all(c.data(), error);
  if (error) return make_error(Code::kUnknown, "remove " + c.data() + ": " + error.message());
  // Empty ones only.
  rmdir(c.place.dev_dir.c_str());
  if (c.place.dev_dir.ends_with("/knarr/dev")) {
    rmdir(c.place.dev_dir.substr(0, c.place.dev_dir.rfind('/')).c_str());
  }
  return {};
}

}  // namespace knarr::cli
