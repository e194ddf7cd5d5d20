// Keeps the rules of NetworkPolicies true to the cluster, for the pods of this node. Pods and
// namespaces are watched only while there is a policy; without one there are no rules either. A
// first change is rendered at the end of the loop's turn; those that follow within kSpacingMs of it
// together. No timer runs while nothing changes. Loop thread.
//
// A pod that a policy selects is protected before its first container starts: its network's
// attachment waits for the rules.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/policy/policy_rules.h"
#include "agent/proxy/iptables.h"
#include "agent/services.h"
#include "knarr/client.h"

namespace knarr::agent {

class NetworkPolicies {
 public:
  static constexpr int64_t kSpacingMs = 50;

  NetworkPolicies(base::Loop& loop, client::Client& client, Iptables& iptables,
                  std::string node_name);
  ~NetworkPolicies();

  void start();

  bool settled() const { return !timer_->active(); }

  // A pod of this node has addresses, which its status does not tell yet. `done` when the rules for
  // it are in place: at once where no policy selects it.
  void attached(const Pod& pod, const std::vector<std::string>& addresses, Iptables::Done done);

 private:
  enum class Kind { kPolicy, kNamespace, kPod };
  class Handler;
  bool put(Kind kind, const NamespacedName& name, const json::Value& object);
  bool put_pod(const NamespacedName& name, PolicyPod pod);
  bool remove(Kind kind, const NamespacedName& name);
  void synced(Kind kind);
  void changed();
  bool ready() const;
  void follow();
  void render(Iptables::Done done = {});

  base::Loop& loop_;
  client::Client& client_;
  Iptables& iptables_;
  PolicyRulesConfig config_;
  PolicyState state_;
  std::map<NamespacedName, std::vector<api::IpAddress>> attached_;  // until the status says so
  std::map<Kind, bool> synced_;
  std::map<Kind, std::unique_ptr<Handler>> handlers_;
  std::map<Kind, std::unique_ptr<client::Watch>> watches_;
  std::unique_ptr<Timer> timer_;
  int64_t last_ms_ = -kSpacingMs;
};

// The network of pods, with their policies: what the agent is given.
class PolicyNetwork final : public PodNetwork {
 public:
  PolicyNetwork(PodNetwork& network, NetworkPolicies& policies)
      : network_(network), policies_(policies) {}

  void attach(const PodRef& pod, const std::string& sandbox_id, const std::string& netns,
              Callback<std::vector<std::string>> done) override;
  void detach(const std::string& sandbox_id, Callback<void> done) override {
    network_.detach(sandbox_id, std::move(done));
  }
  void keep_only(const std::vector<std::string>& sandbox_ids) override {
    network_.keep_only(sandbox_ids);
  }

 private:
  PodNetwork& network_;
  NetworkPolicies& policies_;
};

}  // namespace knarr::agent
