// The Node object of this machine and its Lease: made at start, kept true, renewed.
//
//   get the node -> create it, or patch what is not as it should be -> write status -> renew the
//   lease every ten seconds (a renewal is kept in memory by the server, nothing goes to the disk)
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/machine_facts.h"
#include "base/json.h"
#include "knarr/client.h"
#include "knarr/clock.h"
#include "knarr/runtime.h"

namespace knarr::agent {

struct NodeOptions {
  std::string name;
  std::vector<std::string> ips;  // of each IP family one, the first is how others reach it
  std::string hostname;
  std::map<std::string, std::string> labels;
  std::map<std::string, std::string> annotations;
  std::vector<std::string> taints;  // "key=value:Effect"
  std::string version;              // kubeletVersion: "v1.36.2+knarr"
  uint16_t kubelet_port = 10250;
  int64_t max_pods = 110;
};

// The parts of the object that the machine determines. Pure.
json::Value node_labels(const NodeOptions& options, const MachineFacts& facts);
json::Value node_capacity(const NodeOptions& options, const MachineFacts& facts);
struct NodeHealth {
  bool ready = false;
  std::string network_problem;  // while there is one the node is not ready
  bool memory_pressure = false;
  bool disk_pressure = false;
  bool operator==(const NodeHealth&) const = default;
};
json::Value node_status(const NodeOptions& options, const MachineFacts& facts,
                        const std::string& runtime_version, const NodeHealth& health,
                        int64_t now_us);

class NodeObject {
 public:
  NodeObject(NodeOptions options, MachineFacts facts, client::Client& client, Clock& clock,
             std::string runtime_version);
  ~NodeObject();

  // `registered` is called with the object once it exists in the API.
  void start(std::function<void(const json::Value& node)> registered);
  // The node can run pods: condition Ready becomes True.
  void set_ready();
  void set_pressure(bool memory, bool disk);
  // What keeps pods from being attached to the network; empty: nothing.
  void set_network_problem(const std::string& problem);
  // Called each time the lease is renewed.
  void on_renewal(std::function<void()> fn) { renewal_fn_ = std::move(fn); }
  const json::Value& node() const { return node_; }
  // Shown as status.images.
  void set_images(const std::vector<runtime::ImageSpec>& images);
  const json::Value& capacity() const { return capacity_; }

 private:
  void ensure();
  void create();
  void found(const json::Value& node);
  void write_status();
  void renew_lease();
  void renewed();
  void create_lease();
  void retry(void (NodeObject::*step)());
  client::Reply guarded(std::function<void(Result<ObjectRef>)> fn);

  NodeOptions options_;
  MachineFacts facts_;
  client::Client& client_;
  Clock& clock_;
  std::string runtime_version_;
  json::Value capacity_;
  json::Value node_;
  json::Value images_;
  NodeHealth health_;
  std::function<void()> renewal_fn_;
  bool registered_once_ = false;
  int64_t renewed_at_ms_ = 0;  // the lease, with success
  bool status_busy_ = false, status_again_ = false;
  std::function<void(const json::Value&)> registered_;
  std::unique_ptr<Timer> retry_timer_, lease_timer_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace knarr::agent
