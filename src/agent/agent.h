// A node: watches the pods that are assigned to it and runs a machine for each, keeps the Node
// object true. Reaches the API through client::Client alone, whether the server is in this process
// or not.
//
// Start: read what the runtime has -> list the pods -> adopt, start, clean up what belongs to none
// -> Ready. All on the loop thread.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agent/admission.h"
#include "agent/container_config.h"
#include "agent/housekeeper.h"
#include "agent/images.h"
#include "agent/local_storage.h"
#include "agent/node_object.h"
#include "agent/offload.h"
#include "agent/pod_events.h"
#include "agent/pod_groups.h"
#include "agent/pod_machine.h"
#include "agent/probes/hooks.h"
#include "agent/probes/prober.h"
#include "agent/status_writer.h"
#include "agent/volumes/volume_manager.h"
#include "base/loop.h"

namespace knarr::agent {

struct AgentOptions {
  NodeOptions node;
  std::string data_dir;  // "<data-dir>/agent": pods and their volumes
  std::string logs_dir = "/var/log/pods";
  DnsSettings dns;
  std::string node_resolv_conf_path = "/etc/resolv.conf";
  EvictionSettings eviction;
  std::string local_storage_path;  // absolute
};

class Agent final : public client::WatchHandler,
                    public runtime::EventListener,
                    public NodeRoomBook {
 public:
  // `services` lists the services whose variables pods get; may be empty.
  Agent(base::Loop& loop, AgentOptions options, client::Client& client, runtime::Runtime& runtime,
        PodNetwork& network, Configurer::Services services);
  ~Agent() override;

  void start();
  // Called once, when the node is Ready in the API.
  void on_ready(std::function<void()> fn) { ready_fn_ = std::move(fn); }

  // Called whenever a container has ended.
  void on_container_end(std::function<void()> fn) { container_end_fn_ = std::move(fn); }

  // Null when there is none. For logs, exec and the like.
  const PodMachine* find(const std::string& ns, const std::string& name) const;
  std::vector<const PodMachine*> pods() const;
  runtime::Runtime& runtime() { return runtime_; }
  Offload& offload() { return offload_; }
  std::string log_folder(const Pod& pod) const { return configurer_.log_folder(pod); }
  const std::string& data_dir() const { return options_.data_dir; }
  std::string volume_path(const std::string& pod_uid, std::string_view volume) const {
    return volumes_.path_of(pod_uid, volume);
  }
  std::vector<ProbeCount> probe_counts() const { return prober_.counts(); }
  void refresh_images();  // of the Node object, after images came or went
  // Images that are not removed when the disk fills up.
  void keep_images(std::set<std::string> ids) { housekeeper_.keep_images(std::move(ids)); }
  const std::string& node_name() const { return options_.node.name; }

  void on_upsert(const ObjectRef& object) override;
  void on_delete(const ObjectRef& last) override;
  void on_synced() override;
  void on_container_exit(const runtime::ContainerStatus& status) override;
  void on_sandbox_exit(const std::string& sandbox_id) override;
  Admission admit_resize(const Pod& pod) override;
  void room_changed() override;

 private:
  struct Slot {  // of one pod name: two pods of a name follow each other
    std::shared_ptr<PodMachine> machine;
    PodRef next;  // the same name with another uid, waiting for the first to be gone
  };

  void add(const PodRef& pod);
  void gone(const NamespacedName& name);
  Recovered take_recovered(const std::string& pod_uid);
  void clean_up_strangers();
  NodeRoom room_without(const std::string& pod_uid) const;
  void maybe_ready();
  void take_inventory();
  void network_changed();
  Housekeeper::Deps housekeeping();

  base::Loop& loop_;
  AgentOptions options_;
  client::Client& client_;
  runtime::Runtime& runtime_;
  PodNetwork& network_;
  NodeFacts node_facts_;
  PoolOffload offload_;
  KubeletEvents events_;
  StatusWriter statuses_;
  VolumeManager volumes_;
  Configurer configurer_;
  HandlerRunner handlers_;
  ContainerProber prober_;
  HookRunner hooks_;
  ImageAccess image_access_;
  NodeImages images_;
  PodServices services_;
  NodeObject node_;
  PodGroups groups_;
  Housekeeper housekeeper_;
  LocalStorage local_storage_;
  json::Value node_labels_;
  runtime::Inventory found_;
  std::map<NamespacedName, Slot> slots_;
  std::unique_ptr<client::Watch> watch_;
  std::unique_ptr<Timer> inventory_timer_;
  bool registered_ = false, synced_ = false;
  bool room_told_ = false;  // a look at deferred resizes is to come
  std::function<void()> ready_fn_;
  std::function<void()> container_end_fn_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace knarr::agent
