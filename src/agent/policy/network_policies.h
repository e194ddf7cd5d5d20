// Keeps the rules of NetworkPolicies true to the cluster, for the pods of this node. Pods and
// namespaces are watched only while there is a policy; without one there are no rules either. A
// first change is rendered at the end of the loop's turn; those that follow within kSpacingMs of it
// together. No timer runs while nothing changes. Loop thread.
//
// A pod that a policy selects is protected before its first container starts: its network's
// attachment waits for the rules. Where it is not yet known what policies there are (after a start)
// every attachment waits, kPatienceMs at most: a node that can't learn them runs its pods without.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/policy/policy_rules.h"
#include "agent/proxy/node_rules.h"
#include "agent/services.h"
#include "knarr/client.h"

namespace knarr::agent {

class NetworkPolicies {
 public:
  static constexpr int64_t kSpacingMs = 50;
  static constexpr int64_t kPatienceMs = 10'000;

  NetworkPolicies(base::Loop& loop, client::Client& client, NodeRules rules, std::string node_name);
  ~NetworkPolicies();

  void start();

  bool settled() const { return !timer_->active(); }

  // A pod of this node has addresses, which its status does not tell yet. `done` when the rules for
  // it are in place: at once where no policy selects it, and where nothing was started.
  void attached(const Pod& pod, const std::string& sandbox_id,
                const std::vector<std::string>& addresses, Iptables::Done done);
  // The sandbox's addresses may be another's from now on.
  void detached(const std::string& sandbox_id);

 private:
  enum class Kind { kPolicy, kNamespace, kPod };
  class Handler;
  struct Attached {
    std::string sandbox_id;
    std::vector<api::IpAddress> addresses;
    bool watched = false;  // the watch knows the pod
  };
  struct Waiting {
    NamespacedName pod;
    Iptables::Done done;
  };
  bool put(Kind kind, const NamespacedName& name, const json::Value& object);
  bool put_pod(const NamespacedName& name, PolicyPod pod);
  bool remove(Kind kind, const NamespacedName& name);
  void synced(Kind kind);
  void changed();
  bool ready() const;
  void follow();
  void let_go();
  void render(Iptables::Done done = {});

  base::Loop& loop_;
  client::Client& client_;
  NodeRules rules_;
  PolicyRulesConfig config_;
  PolicyState state_;
  std::map<NamespacedName, Attached> attached_;  // until the status says so
  std::vector<Waiting> waiting_;                 // for rules, or to know what policies there are
  std::map<Kind, bool> synced_;
  std::map<Kind, std::unique_ptr<Handler>> handlers_;
  std::map<Kind, std::unique_ptr<client::Watch>> watches_;
  std::unique_ptr<Timer> timer_;
  std::unique_ptr<Timer> patience_;
  int64_t last_ms_ = -kSpacingMs;
};

// The network of pods, with their policies: what the agent is given.
class PolicyNetwork final : public PodNetwork {
 public:
  PolicyNetwork(PodNetwork& network, NetworkPolicies& policies)
      : network_(network), policies_(policies) {}

  void attach(const PodRef& pod, const std::string& sandbox_id, const std::string& netns,
              Callback<std::vector<std::string>> done) override;
  void detach(const std::string& sandbox_id, Callback<void> done) override;
  void keep_only(const std::vector<std::string>& sandbox_ids) override {
    network_.keep_only(sandbox_ids);
  }
  std::string not_ready() const override { return network_.not_ready(); }
  void on_readiness(std::function<void()> changed) override {
    network_.on_readiness(std::move(changed));
  }

 private:
  PodNetwork& network_;
  NetworkPolicies& policies_;
};

}  // namespace knarr::agent
