// The configuration of sandboxes and containers, from the pod's spec: the agent's
// ContainerConfigurer. Looks up the configMaps and secrets of the environment, writes the files
// that every container gets below <pods_dir>/<uid>, and translates the rest.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/downward.h"
#include "agent/environment.h"
#include "agent/offload.h"
#include "agent/pod_files.h"
#include "agent/services.h"
#include "knarr/client.h"

namespace knarr::agent {

struct ConfigurerOptions {
  std::string pods_dir;  // "<data-dir>/agent/pods"
  std::string logs_dir;  // "/var/log/pods"
  std::string node_hosts_path = "/etc/hosts";
  std::string node_resolv_conf_path = "/etc/resolv.conf";
  DnsSettings dns;
  PodEvents* events = nullptr;  // may be absent; told of what a resolv.conf has no room for
};

class Configurer final : public ContainerConfigurer {
 public:
  // services(ns) lists the services whose variables a pod of the namespace gets.
  using Services = std::function<std::vector<json::Value>(const std::string& ns)>;
  Configurer(ConfigurerOptions options, const NodeFacts& node, client::Client& client,
             PodVolumes& volumes, Offload& offload, Services services);
  ~Configurer() override;

  void configure(Input input, Callback<runtime::ContainerConfig> done) override;
  Result<runtime::SandboxConfig> sandbox(const Pod& pod, uint32_t attempt) override;
  runtime::Resources resources(const Pod& pod, const ContainerSpec& container) override;
  std::string termination_message(const Pod& pod, const ContainerSpec& container,
                                  const runtime::ContainerStatus& status) override;

  // "<logs_dir>/<ns>_<name>_<uid>"
  std::string log_folder(const Pod& pod) const;

 private:
  struct Lookup;
  void look_up(std::shared_ptr<Lookup> lookup);
  Result<runtime::ContainerConfig> build(const Input& input, const ObjectData& objects);
  void mount(std::shared_ptr<Lookup> lookup, runtime::ContainerConfig config);
  void add_files(std::shared_ptr<Lookup> lookup, runtime::ContainerConfig config);
  std::string pod_folder(const Pod& pod) const;
  std::string message_path(const Pod& pod, const std::string& container, uint32_t attempt) const;

  ConfigurerOptions options_;
  const NodeFacts& node_;
  client::Client& client_;
  PodVolumes& volumes_;
  Offload& offload_;
  Services services_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// securityContext of pod and container together; supplemental groups with fsGroup.
runtime::SecurityContext security_of(const Pod& pod, const json::Value& container);

// One of the files that all containers of a pod share. Where it is, it stays the same file: a
// container that is starting holds it, and the kernel mounts none that has lost its name. Blocks.
Result<void> write_shared_file(const std::string& path, std::string_view text);

// Refuses an image or user that would be root where runAsNonRoot forbids it.
Result<void> check_non_root(const Pod& pod, const ContainerSpec& container,
                            const runtime::ImageSpec& image);

}  // namespace knarr::agent
