// The user's kubeconfig gains and loses a cluster's context; all else in it stays, but for
// comments. Under sudo the user is who called it.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "api/codec/yaml.h"
#include "base/file.h"
#include "base/format.h"
#include "base/json.h"
#include "cli/dev_cluster.h"
#include "cli/dev_network.h"
#include "cli/dev_user.h"

namespace knarr::cli {

namespace {

constexpr const char* kLists[] = {"clusters", "users", "contexts"};

std::string home_of(const std::string& user) {
  auto passwd = base::read_file("/etc/passwd");
  auto entry = find_user(passwd.ok() ? *passwd : "", user);
  return entry ? entry->home : "";
}

std::string kubeconfig_of_user(bool rootless) {
  std::string files = variable("KUBECONFIG");
  std::string first = files.substr(0, files.find(':'));
  std::string sudo_user = rootless ? "" : variable("SUDO_USER");
  std::string home = sudo_user.empty() ? variable("HOME") : home_of(sudo_user);
  if (first.empty() && !home.empty()) first = home + "/.kube/config";
  char* real = realpath(first.c_str(), nullptr);  // a symbolic link stays one
  if (real == nullptr) return first;
  first = real;
  free(real);
  return first;
}

void give_to_user(const std::string& path, bool rootless) {
  if (rootless) return;
  std::string uid = variable("SUDO_UID"), gid = variable("SUDO_GID");
  if (uid.empty() || gid.empty()) return;
  if (chown(path.c_str(), static_cast<uid_t>(std::strtoul(uid.c_str(), nullptr, 10)),
            static_cast<gid_t>(std::strtoul(gid.c_str(), nullptr, 10))) != 0) {
    return;  // root can read it all the same
  }
}

Result<json::Value> read_config(const std::string& path) {
  if (!base::file_exists(path)) {
    return json::Value::object({{"apiVersion", "v1"}, {"kind", "Config"}});
  }
  TRY_ASSIGN(std::string text, base::read_file(path));
  auto documents = api::parse_yaml_stream(text);
  if (!documents.ok()) {
    return make_error(Code::kBadRequest, path + ": " + documents.error().message);
  }
  if (documents->empty() || !(*documents)[0].is_object()) {
    return json::Value::object({{"apiVersion", "v1"}, {"kind", "Config"}});
  }
  return std::move((*documents)[0]);
}

Result<void> write_config(const DevCluster& cluster, const json::Value& config) {
  const std::string& path = cluster.kubeconfig;
  struct stat before {};
  bool was = stat(path.c_str(), &before) == 0;
  TRY(base::write_file(path, api::write_yaml(config), 0600));
  if (!was) {
    give_to_user(path, cluster.place.rootless);
  } else if (!cluster.place.rootless && chown(path.c_str(), before.st_uid, before.st_gid) != 0) {
    return errno_error(errno, "give back " + path);
  }
  return {};
}

void erase_named(json::Value& config, const char* list, const std::string& name) {
  json::Value& entries = config.member(list);
  for (size_t i = entries.size(); i-- > 0;) {
    if (entries[i]["name"].as_string() == name) entries.erase_at(i);
  }
}

// The clusters whose way back leads to this one's context: it leads past it from now on.
Result<void> lead_past(const DevCluster& cluster, const std::string& previous) {
  for (DevCluster& other : list_dev_clusters(cluster.place)) {
    if (other.name == cluster.name || other.kubeconfig != cluster.kubeconfig) continue;
    if (other.previous_context != cluster.context()) continue;
    other.previous_context = previous;
    TRY(save_dev_cluster(other));
  }
  return {};
}

}  // namespace

Result<void> add_dev_context(DevCluster& cluster) {
  if (cluster.kubeconfig.empty()) {
    cluster.kubeconfig = kubeconfig_of_user(cluster.place.rootless);
    if (cluster.kubeconfig.empty()) return {};
    std::string folder = cluster.kubeconfig.substr(0, cluster.kubeconfig.rfind('/'));
    cluster.made_kubeconfig_folder = !base::file_exists(folder);
    cluster.made_kubeconfig = !base::file_exists(cluster.kubeconfig);
    if (cluster.made_kubeconfig_folder) {
      TRY(base::make_dirs(folder, 0750));
      give_to_user(folder, cluster.place.rootless);
    }
  }
  TRY_ASSIGN(json::Value config, read_config(cluster.kubeconfig));
  TRY_ASSIGN(json::Value own, read_config(cluster.data_of(0) + "/kubeconfig"));
  std::string name = cluster.context();
  std::string before = config["current-context"].text();
  if (before != name) {
    TRY(lead_past(cluster, cluster.previous_context));
    cluster.previous_context = before;
  }
  TRY(save_dev_cluster(cluster));
  for (const char* list : kLists) erase_named(config, list, name);
  json::Value where = own["clusters"][0]["cluster"];
  where.set("server", cluster.place.rootless
                          ? fmt::format("https://127.0.0.1:{}", cluster.api_port)
                          : "https://" + DevNetwork(cluster).address(0) + ":6443");
  config.member("clusters")
      .push_back(json::Value::object({{"name", name}, {"cluster", std::move(where)}}));
  config.member("users").push_back(
      json::Value::object({{"name", name}, {"user", own["users"][0]["user"]}}));
  json::Value context = json::Value::object({{"cluster", name}, {"user", name}});
  config.member("contexts")
      .push_back(json::Value::object({{"name", name}, {"context", std::move(context)}}));
  config.set("current-context", name);
  return write_config(cluster, config);
}

Result<void> remove_dev_context(const DevCluster& cluster) {
  if (cluster.kubeconfig.empty() || !base::file_exists(cluster.kubeconfig)) return {};
  // As it is written now: the end of another may have changed it.
  auto now = load_dev_cluster(cluster.place, cluster.name);
  std::string previous = now.ok() ? now->previous_context : cluster.previous_context;
  TRY(lead_past(cluster, previous));
  TRY_ASSIGN(json::Value config, read_config(cluster.kubeconfig));
  bool empty = true;
  for (const char* list : kLists) {
    erase_named(config, list, cluster.context());
    empty &= config[list].empty();
  }
  if (empty && cluster.made_kubeconfig) {
    unlink(cluster.kubeconfig.c_str());
    std::string folder = cluster.kubeconfig.substr(0, cluster.kubeconfig.rfind('/'));
    if (cluster.made_kubeconfig_folder) rmdir(folder.c_str());
    return {};
  }
  if (config["current-context"].as_string() == cluster.context()) {
    bool known = false;
    for (const json::Value& c : config["contexts"].elements()) {
      known |= c["name"].as_string() == previous;
    }
    config.set("current-context", known ? previous : "");
  }
  return write_config(cluster, config);
}

}  // namespace knarr::cli
