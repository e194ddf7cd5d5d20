#include "cli/dev_cluster.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/json.h"

namespace knarr::cli {

namespace {

constexpr char kRunRoot[] = "/run/knarr-dev";

std::string short_name(int node) { return node == 0 ? "server" : "agent-" + std::to_string(node); }

}  // namespace

std::string DevCluster::run() const { return std::string(kRunRoot) + "/" + name; }
std::string DevCluster::node_name(int node) const { return name + "-" + short_name(node); }
std::string DevCluster::data_of(int node) const { return data() + "/" + short_name(node); }
std::string DevCluster::run_of(int node) const { return run() + "/" + short_name(node); }
std::string DevCluster::cgroup_of(int node) const { return cgroup_root + "-" + node_name(node); }

Result<void> DevLock::take() {
  while (true) {
    TRY(base::make_dirs(kRunRoot));
    fd_.reset(open(kRunRoot, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd_.valid() || flock(fd_.get(), LOCK_EX) != 0) {
      return errno_error(errno, std::string("lock ") + kRunRoot);
    }
    // Who had it may have removed the folder while we waited.
    struct stat held {
    }, now{};
    if (fstat(fd_.get(), &held) == 0 && stat(kRunRoot, &now) == 0 && held.st_ino == now.st_ino) {
      return {};
    }
  }
}

// The folder goes with the last cluster: rmdir leaves one that holds something.
DevLock::~DevLock() { rmdir(kRunRoot); }

Result<DevCluster> load_dev_cluster(const std::string& dev_dir, const std::string& name) {
  DevCluster c;
  c.name = name;
  c.dev_dir = dev_dir;
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
                                       {"kubeconfig", c.kubeconfig},
                                       {"previousContext", c.previous_context},
                                       {"madeKubeconfig", c.made_kubeconfig},
                                       {"madeKubeconfigFolder", c.made_kubeconfig_folder}});
  TRY(base::make_dirs(c.data(), 0700));
  return base::write_file(c.data() + "/cluster.json", json::write(v), 0600);
}

std::vector<DevCluster> list_dev_clusters(const std::string& dev_dir) {
  std::vector<DevCluster> out;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(dev_dir, ignored)) {
    auto cluster = load_dev_cluster(dev_dir, entry.path().filename());
    if (cluster.ok()) out.push_back(*std::move(cluster));
  }
  std::sort(out.begin(), out.end(),
            [](const DevCluster& a, const DevCluster& b) { return a.name < b.name; });
  return out;
}

Result<void> remove_dev_files(const DevCluster& c) {
  std::error_code error;
  std::filesystem::remove_all(c.data(), error);
  if (error) return make_error(Code::kUnknown, "remove " + c.data() + ": " + error.message());
  // Empty ones only.
  rmdir(c.dev_dir.c_str());
  if (c.dev_dir == "/var/lib/knarr/dev") rmdir("/var/lib/knarr");
  return {};
}

}  // namespace knarr::cli
