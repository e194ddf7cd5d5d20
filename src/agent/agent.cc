#include "agent/agent.h"

#include <algorithm>
#include <filesystem>

#include "agent/admission.h"
#include "agent/volumes/mount_point.h"
#include "base/file.h"
#include "base/log.h"

namespace knarr::agent {

namespace {

// A dead file system keeps those who touch it: others must go on.
constexpr int kThreads = 16;
constexpr int64_t kInventoryRetryMs = 1000;

NodeFacts facts_of(const NodeOptions& node, const MachineFacts& machine,
                   const std::string& data_dir) {
  NodeFacts facts;
  facts.name = node.name;
  facts.local_roots_path = data_dir + "/local_storage.json";
  facts.hostname = node.hostname;
  facts.host_ips = node.ips;
  facts.allocatable = node_capacity(node, machine);
  facts.memory_bytes = machine.memory_bytes;
  return facts;
}

ConfigurerOptions configurer_options(const AgentOptions& options, PodEvents& events) {
  ConfigurerOptions o;
  o.pods_dir = options.data_dir + "/pods";
  o.logs_dir = options.logs_dir;
  o.dns = options.dns;
  o.node_resolv_conf_path = options.node_resolv_conf_path;
  o.events = &events;
  return o;
}

}  // namespace

Agent::Agent(base::Loop& loop, AgentOptions options, client::Client& client,
             runtime::Runtime& runtime, PodNetwork& network, Configurer::Services services)
    : loop_(loop),
      options_(std::move(options)),
      client_(client),
      runtime_(runtime),
      network_(network),
      node_facts_(
          facts_of(options_.node, read_machine_facts(options_.data_dir), options_.data_dir)),
      offload_(loop, kThreads),
      events_(client, loop, options_.node.name),
      statuses_(client, loop),
      volumes_(options_.data_dir + "/pods", node_facts_, client, loop, offload_),
      configurer_(configurer_options(options_, events_), node_facts_, client, volumes_, offload_,
                  std::move(services)),
      handlers_(loop, runtime),
      prober_(loop, handlers_, events_),
      hooks_(loop, handlers_),
      image_access_(options_.data_dir + "/image_access.json", offload_),
      images_(loop, runtime, client, events_, image_access_),
      services_{loop,   runtime, network,   volumes_, configurer_, prober_,
                hooks_, images_, statuses_, events_,  *this,       options_.node.ips},
      node_(options_.node, read_machine_facts(options_.data_dir), client, loop,
            runtime.name() + "://" + runtime.version()),
      groups_(runtime, node_facts_),
      housekeeper_(housekeeping(), options_.eviction),
      local_storage_({client_, loop_, offload_}, options_.node.name, options_.local_storage_path,
                     node_facts_.local_roots_path) {
  node_.on_renewal([this] { housekeeper_.look(); });
}

Housekeeper::Deps Agent::housekeeping() {
  auto machines = [this] {
    std::vector<std::shared_ptr<PodMachine>> list;
    for (const auto& [name, slot] : slots_) {
      if (slot.machine) list.push_back(slot.machine);
    }
    return list;
  };
  return {loop_,
          runtime_,
          offload_,
          options_.data_dir,
          machines,
          [this](const Pod& pod) { return configurer_.log_folder(pod); },
          [this] { refresh_images(); },
          [this](bool memory, bool disk) { node_.set_pressure(memory, disk); }};
}

Agent::~Agent() {
  *alive_ = false;
  runtime_.set_listener(nullptr);
}

void Agent::start() {
  if (auto made = base::make_dirs(options_.data_dir + "/pods", 0750); !made.ok()) {
    base::log(base::Level::kError, "agent", "{}", made.error().message);
  }
  runtime_.set_listener(this);
  network_.on_readiness([this] { network_changed(); });
  network_changed();
  local_storage_.start();
  node_.start([this](const json::Value& node) {
    node_labels_ = node["metadata"]["labels"];
    registered_ = true;
    maybe_ready();
  });
  take_inventory();
}

// Before the server knows that this node is ready: pods follow at once.
void Agent::network_changed() {
  std::string problem = network_.not_ready();
  node_.set_network_problem(problem);
  if (!problem.empty()) return;
  std::vector<std::shared_ptr<PodMachine>> machines;
  for (const auto& [name, slot] : slots_) machines.push_back(slot.machine);
  for (const auto& machine : machines) {
    if (machine) machine->network_came();
  }
}

// Pods are looked at only when what runs is known: else each would be started a second time.
void Agent::take_inventory() {
  std::weak_ptr<bool> alive = alive_;
  runtime_.list([this, alive](Result<runtime::Inventory> inventory) {
    if (alive.expired()) return;
    if (!inventory.ok()) {
      base::log(base::Level::kError, "agent", "list containers: {}", inventory.error().message);
      inventory_timer_ = loop_.timer([this] { take_inventory(); });
      inventory_timer_->start(kInventoryRetryMs);
      return;
    }
    found_ = *std::move(inventory);
    watch_ =
        client_.watch({"", "v1", "pods", "", "", "spec.nodeName=" + options_.node.name}, *this);
  });
}

void Agent::maybe_ready() {
  if (!registered_ || !synced_) return;
  node_.set_ready();
  if (auto fn = std::exchange(ready_fn_, nullptr)) fn();
}

void Agent::on_upsert(const ObjectRef& object) {
  auto pod = Pod::parse(object);
  if (!pod.ok()) {
    base::log(base::Level::kWarning, "agent", "{}", pod.error().message);
    return;
  }
  Slot& slot = slots_[object->name];
  if (!slot.machine) {
    add(*pod);
  } else if (slot.machine->pod()->uid() == object->uid) {
    statuses_.observe(*pod);
    slot.machine->update(*pod);
  } else {
    slot.next = *pod;
    slot.machine->forget();
  }
}

void Agent::on_delete(const ObjectRef& last) {
  auto it = slots_.find(last->name);
  if (it == slots_.end()) return;
  statuses_.forget(last->uid);
  if (it->second.next && it->second.next->uid() == last->uid) it->second.next = nullptr;
  auto machine = it->second.machine;
  if (machine && machine->pod()->uid() == last->uid) machine->forget();
}

void Agent::add(const PodRef& pod) {
  NamespacedName name = pod->object()->name;
  Slot& slot = slots_[name];
  slot.machine = std::make_shared<PodMachine>(services_, pod, [this, name] { gone(name); });
  Recovered recovered = take_recovered(pod->uid());
  Admission admission;
  bool fresh = recovered.sandboxes.empty() && !pod->deleting() && !pod->finished();
  if (fresh) admission = housekeeper_.admit(*pod);
  if (fresh && admission.ok()) admission = admit(*pod, room_without(pod->uid()));
  auto machine = slot.machine;
  room_changed();
  machine->start(admission, std::move(recovered));
}

// Deferred: the machine that calls is in the middle of its last move.
void Agent::gone(const NamespacedName& name) {
  std::weak_ptr<bool> alive = alive_;
  loop_.defer([this, alive, name] {
    if (alive.expired()) return;
    auto it = slots_.find(name);
    if (it == slots_.end()) return;
    PodRef pod = it->second.machine->pod();
    auto wipe = [files = options_.data_dir + "/pods/" + pod->uid(),
                 logs = configurer_.log_folder(*pod)]() -> Result<void> {
      // What is still mounted there is not ours to remove.
      TRY(unmount_below(files));
      std::error_code ignored;
      std::filesystem::remove_all(files, ignored);
      std::filesystem::remove_all(logs, ignored);
      return {};
    };
    offload_.run(pod->uid(), wipe, [name](const Result<void>& wiped) {
      if (wiped.ok()) return;
      base::log(base::Level::kWarning, "agent", "files of pod {}/{}: {}", name.ns, name.name,
                wiped.error().message);
    });
    statuses_.forget(pod->uid());
    PodRef next = it->second.next;
    slots_.erase(it);
    room_changed();
    if (next) add(next);
  });
}

Recovered Agent::take_recovered(const std::string& pod_uid) {
  Recovered recovered;
  auto& sandboxes = found_.sandboxes;
  for (auto it = sandboxes.begin(); it != sandboxes.end();) {
    if (it->config.pod_uid != pod_uid) {
      ++it;
      continue;
    }
    for (const runtime::ContainerStatus& c : found_.containers) {
      if (c.sandbox_id == it->id) recovered.containers.push_back(c);
    }
    recovered.sandboxes.push_back(*it);
    it = sandboxes.erase(it);
  }
  std::sort(recovered.sandboxes.begin(), recovered.sandboxes.end(),
            [](const auto& a, const auto& b) { return a.config.attempt > b.config.attempt; });
  return recovered;
}

void Agent::on_synced() {
  if (std::exchange(synced_, true)) return;
  clean_up_strangers();
  refresh_images();
  maybe_ready();
}

// What is left of pods that were deleted while knarr was away.
void Agent::clean_up_strangers() {
  std::vector<std::string> uids, sandboxes;
  for (const auto& [name, slot] : slots_) {
    if (!slot.machine) continue;
    uids.push_back(slot.machine->pod()->uid());
    if (!slot.machine->sandbox_id().empty()) sandboxes.push_back(slot.machine->sandbox_id());
  }
  for (const runtime::SandboxStatus& s : found_.sandboxes) {
    base::log(base::Level::kInfo, "agent", "removing pod {}/{}: it is no longer in the API",
              s.config.pod_namespace, s.config.pod_name);
    std::string id = s.id;
    runtime_.stop_sandbox(id, [this, alive = std::weak_ptr<bool>(alive_), id](const auto&) {
      if (alive.expired()) return;
      runtime_.remove_sandbox(id, [](const Result<void>&) {});
    });
  }
  found_ = {};
  network_.keep_only(sandboxes);
  volumes_.keep_only(uids);
}

NodeRoom Agent::room_without(const std::string& pod_uid) const {
  NodeRoom room;
  room.allocatable = node_facts_.allocatable;
  room.labels = node_labels_.is_null() ? node_labels(options_.node, {}) : node_labels_;
  for (const auto& [name, slot] : slots_) {
    if (!slot.machine || slot.machine->pod()->uid() == pod_uid) continue;
    if (slot.machine->state() >= PodMachine::State::kDone) continue;
    room.pods.push_back(slot.machine->pod());
  }
  return room;
}

Admission Agent::admit_resize(const Pod& pod) {
  return agent::admit_resize(pod, room_without(pod.uid()));
}

// Deferred: those who call are in the middle of a move.
void Agent::room_changed() {
  if (std::exchange(room_told_, true)) return;
  loop_.defer([this, alive = std::weak_ptr<bool>(alive_)] {
    if (alive.expired()) return;
    room_told_ = false;
    std::vector<PodRef> pods = room_without("").pods;
    groups_.set_pods(pods);
    std::vector<std::shared_ptr<PodMachine>> machines;
    for (const auto& [name, slot] : slots_) machines.push_back(slot.machine);
    for (const auto& machine : machines) {
      if (machine) machine->room_changed();
    }
  });
}

void Agent::refresh_images() {
  std::weak_ptr<bool> alive = alive_;
  runtime_.list_images([this, alive](Result<std::vector<runtime::ImageSpec>> images) {
    if (alive.expired() || !images.ok()) return;
    node_.set_images(*images);
    std::set<std::string> ids;
    for (const runtime::ImageSpec& image : *images) ids.insert(image.id);
    image_access_.keep_only(ids);
  });
}

void Agent::on_container_exit(const runtime::ContainerStatus& status) {
  for (const auto& [name, slot] : slots_) {
    auto machine = slot.machine;
    if (machine && machine->sandbox_id() == status.sandbox_id) {
      machine->on_container_exit(status);
      break;
    }
  }
  housekeeper_.used(status.image_id);
  if (container_end_fn_) container_end_fn_();
}

void Agent::on_sandbox_exit(const std::string& sandbox_id) {
  for (const auto& [name, slot] : slots_) {
    auto machine = slot.machine;
    if (machine && machine->sandbox_id() == sandbox_id) {
      machine->on_sandbox_exit(sandbox_id);
      return;
    }
  }
}

const PodMachine* Agent::find(const std::string& ns, const std::string& name) const {
  auto it = slots_.find({ns, name});
  return it == slots_.end() ? nullptr : it->second.machine.get();
}

std::vector<const PodMachine*> Agent::pods() const {
  std::vector<const PodMachine*> list;
  for (const auto& [name, slot] : slots_) {
    if (slot.machine) list.push_back(slot.machine.get());
  }
  return list;
}

}  // namespace knarr::agent
