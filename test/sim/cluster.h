// A whole cluster in virtual time: the real registry, cache, controllers and scheduler over a store
// in memory, and hollow nodes that run pods by saying so. Faults and restarts on demand.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/random.h"
#include "knarr/client.h"
#include "net/pki.h"
#include "server/auth/allow_authenticated.h"
#include "server/controllers/controller.h"
#include "server/metrics/metrics_source.h"
#include "server/registry/local_client.h"
#include "server/registry/registry.h"
#include "server/scheduler/scheduler.h"
#include "sim_clock.h"
#include "store/memory/memory_store.h"

namespace knarr::sim {

struct Faults {
  uint64_t fail_in_1000 = 0;  // of the store's pieces of work
  int64_t max_delay_ms = 0;
};

// What the hollow kubelet makes of a pod. The pod's annotation "sim/exit" ends it with that code.
class HollowKubelet;

class Cluster {
 public:
  explicit Cluster(uint64_t seed);
  ~Cluster();

  void start();    // the server side; the cache is loaded when it returns
  void restart();  // as after a crash: everything but the store is made anew
  void set_faults(Faults faults) { faults_ = faults; }
  // What the autoscaler hears, from the next start on.
  void set_metrics(server::MetricsSource* metrics) { metrics_ = metrics; }
  // Whether local volumes are provisioned, from the next start on.
  void set_local_storage(bool provisioned) { local_storage_ = provisioned; }
  // Names and addresses of the API server, from the next start on.
  void set_server_names(std::vector<std::string> names) { server_names_ = std::move(names); }
  const net::KeyPair& ca() const { return ca_; }

  void add_node(const std::string& name, const std::string& cpu = "4",
                const std::vector<std::pair<std::string, std::string>>& labels = {});

  // Its heartbeats end.
  void silence(const std::string& node) { std::erase(node_names_, node); }

  // Synchronous: runs the clock until the answer is there.
  Result<json::Value> call(client::Request request);
  Result<json::Value> create(const server::ResourceName& r, const std::string& ns,
                             json::Value object);
  Result<json::Value> patch(const server::ResourceName& r, const NamespacedName& name,
                            const char* merge_patch);
  Result<json::Value> remove(const server::ResourceName& r, const NamespacedName& name,
                             const char* propagation = "Background");
  json::Value get(const server::ResourceName& r, const NamespacedName& name) const;
  std::vector<json::Value> list(const server::ResourceName& r, const std::string& ns) const;

  bool eventually(const std::function<bool()>& condition, int64_t limit_ms = 60000) {
    return clock.run_until(condition, limit_ms);
  }
  // What there is, for the message of a failed test.
  std::string picture() const;

  server::Cache& cache() { return *cache_; }
  server::Scheduler& scheduler() { return *scheduler_; }
  server::ControllerHost& controllers() { return *host_; }
  client::Client& client() { return *client_; }
  // Who may do everything, under this name.
  std::unique_ptr<client::Client> client_as(const std::string& user) {
    return std::make_unique<server::LocalClient>(*registry_, server::privileged_user(user), user);
  }

  SimClock clock;

 private:
  void beat();

  base::SeededRandom random_;
  Faults faults_;
  net::KeyPair ca_;
  server::MetricsSource* metrics_ = nullptr;
  bool local_storage_ = true;
  std::vector<std::string> server_names_;
  std::vector<std::string> node_names_;
  std::unique_ptr<Timer> heartbeat_;
  std::unique_ptr<kv::MemoryStore> store_;
  std::unique_ptr<server::Cache> cache_;
  server::AllowAuthenticated authorizer_;
  std::unique_ptr<server::AdmissionChain> admission_;
  std::unique_ptr<server::Registry> registry_;
  std::unique_ptr<server::LocalClient> client_;
  std::unique_ptr<server::ControllerHost> host_;
  std::unique_ptr<server::Scheduler> scheduler_;
  std::unique_ptr<HollowKubelet> kubelet_;
};

}  // namespace knarr::sim
