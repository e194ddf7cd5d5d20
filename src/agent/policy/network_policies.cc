#include "agent/policy/network_policies.h"

#include <algorithm>
#include <utility>

#include "base/json.h"
#include "base/log.h"

namespace knarr::agent {

class NetworkPolicies::Handler final : public client::WatchHandler {
 public:
  Handler(NetworkPolicies& policies, Kind kind) : policies_(policies), kind_(kind) {}

  void on_upsert(const ObjectRef& object) override {
    auto parsed = json::parse(object->json);
    if (!parsed.ok()) {
      base::log(base::Level::kWarning, "policy", "{}: {}", object->name.text(),
                parsed.error().message);
      return;
    }
    if (policies_.put(kind_, object->name, *parsed)) policies_.changed();
  }
  void on_delete(const ObjectRef& last) override {
    if (policies_.remove(kind_, last->name)) policies_.changed();
  }
  void on_synced() override { policies_.synced(kind_); }

 private:
  NetworkPolicies& policies_;
  Kind kind_;
};

NetworkPolicies::NetworkPolicies(base::Loop& loop, client::Client& client, NodeRules rules,
                                 std::string node_name)
    : loop_(loop),
      client_(client),
      rules_(std::move(rules)),
      timer_(loop.timer([this] {
        if (ready()) render();
      })),
      patience_(loop.timer([this] {
        base::log(base::Level::kWarning, "policy",
                  "what policies there are is not known after {} ms: {} pods start without",
                  kPatienceMs, waiting_.size());
        let_go();
      })) {
  config_.prefix = rules_.prefix();
  config_.node_name = std::move(node_name);
  config_.mark = rules_.policy_mark();
  for (Kind kind : {Kind::kPolicy, Kind::kNamespace, Kind::kPod}) {
    handlers_[kind] = std::make_unique<Handler>(*this, kind);
  }
}

NetworkPolicies::~NetworkPolicies() = default;

void NetworkPolicies::start() {
  watches_[Kind::kPolicy] = client_.watch(
      {"networking.k8s.io", "v1", "networkpolicies", "", "", ""}, *handlers_[Kind::kPolicy]);
}

bool NetworkPolicies::put(Kind kind, const NamespacedName& name, const json::Value& object) {
  if (kind == Kind::kPod) return put_pod(name, parse_policy_pod(object));
  if (kind == Kind::kNamespace) {
    LabelList labels = parse_labels(object["metadata"]["labels"]);
    auto [it, added] = state_.namespaces.try_emplace(name.name);
    if (!added && it->second == labels) return false;
    it->second = std::move(labels);
    return true;
  }
  PolicyView view = parse_policy(object);
  auto [it, added] = state_.policies.try_emplace(name);
  if (!added && it->second.text == view.text) return false;
  it->second = std::move(view);
  return true;
}

// What the node itself gave a pod stands until the status tells it: that may still be without an
// address, or have the one of a sandbox before.
bool NetworkPolicies::put_pod(const NamespacedName& name, PolicyPod pod) {
  if (auto given = attached_.find(name); given != attached_.end()) {
    const std::vector<api::IpAddress>& addresses = given->second.addresses;
    bool told = std::all_of(addresses.begin(), addresses.end(), [&pod](const api::IpAddress& a) {
      return std::find(pod.addresses.begin(), pod.addresses.end(), a) != pod.addresses.end();
    });
    if (told || pod.over || !pod.own_network) {
      attached_.erase(given);
    } else {
      pod.addresses = addresses;
      given->second.watched = true;
    }
  }
  auto [it, added] = state_.pods.try_emplace(name);
  if (!added && it->second == pod) return false;
  it->second = std::move(pod);
  return true;
}

bool NetworkPolicies::remove(Kind kind, const NamespacedName& name) {
  switch (kind) {
    case Kind::kPolicy: return state_.policies.erase(name) > 0;
    case Kind::kNamespace: return state_.namespaces.erase(name.name) > 0;
    case Kind::kPod: attached_.erase(name); return state_.pods.erase(name) > 0;
  }
  return false;
}

void NetworkPolicies::synced(Kind kind) {
  synced_[kind] = true;
  changed();
}

bool NetworkPolicies::ready() const {
  auto told = [this](Kind kind) {
    auto it = synced_.find(kind);
    return it != synced_.end() && it->second;
  };
  if (!told(Kind::kPolicy)) return false;
  return state_.policies.empty() || (told(Kind::kNamespace) && told(Kind::kPod));
}

// Pods and namespaces matter as long as there is a policy.
void NetworkPolicies::follow() {
  bool wanted = !state_.policies.empty();
  if (wanted == (watches_.count(Kind::kPod) > 0)) return;
  if (wanted) {
    watches_[Kind::kNamespace] =
        client_.watch({"", "v1", "namespaces", "", "", ""}, *handlers_[Kind::kNamespace]);
    watches_[Kind::kPod] = client_.watch({"", "v1", "pods", "", "", ""}, *handlers_[Kind::kPod]);
    return;
  }
  for (Kind kind : {Kind::kNamespace, Kind::kPod}) {
    watches_.erase(kind);
    synced_[kind] = false;
  }
  state_.pods.clear();
  state_.namespaces.clear();
  for (auto& [name, given] : attached_) given.watched = false;
}

void NetworkPolicies::changed() {
  if (synced_[Kind::kPolicy]) follow();
  if (!ready()) return;
  if (!waiting_.empty()) let_go();
  if (timer_->active()) return;
  int64_t since_ms = loop_.monotonic_ms() - last_ms_;
  timer_->start(std::max<int64_t>(0, kSpacingMs - since_ms));
}

void NetworkPolicies::render(Iptables::Done done) {
  last_ms_ = loop_.monotonic_ms();
  auto rules_of = [this](bool v6) {
    config_.v6 = v6;
    return policy_rules(state_, config_);
  };
  rules_.set(RulePart::kPolicy, rules_of, std::move(done));
}

void NetworkPolicies::attached(const Pod& pod, const std::string& sandbox_id,
                               const std::vector<std::string>& addresses, Iptables::Done done) {
  if (watches_.count(Kind::kPolicy) == 0) return done({});
  const NamespacedName& name = pod.object()->name;
  Attached given{sandbox_id, {}, state_.pods.count(name) > 0};
  if (auto before = attached_.find(name); before != attached_.end()) {
    given.watched = before->second.watched;
  }
  for (const std::string& text : addresses) {
    if (auto ip = api::IpAddress::parse(text)) given.addresses.push_back(*ip);
  }
  PolicyPod view = parse_policy_pod(pod.json());
  view.addresses = given.addresses;
  state_.pods[name] = std::move(view);
  attached_[name] = std::move(given);
  waiting_.push_back({name, std::move(done)});
  if (ready()) return let_go();
  if (!patience_->active()) patience_->start(kPatienceMs);
}

void NetworkPolicies::detached(const std::string& sandbox_id) {
  auto given = std::find_if(attached_.begin(), attached_.end(), [&](const auto& entry) {
    return entry.second.sandbox_id == sandbox_id;
  });
  if (given == attached_.end()) return;
  auto pod = state_.pods.find(given->first);
  if (pod != state_.pods.end()) {
    if (given->second.watched) {
      pod->second.addresses.clear();
    } else {
      state_.pods.erase(pod);
    }
  }
  attached_.erase(given);
  if (!state_.policies.empty()) changed();
}

// Pods that wait go on: those that a policy selects with their rules, the others at once.
void NetworkPolicies::let_go() {
  patience_->stop();
  std::vector<Iptables::Done> now, with_rules;
  for (Waiting& waiting : std::exchange(waiting_, {})) {
    auto pod = state_.pods.find(waiting.pod);
    bool selected =
        ready() && pod != state_.pods.end() && is_selected(state_, waiting.pod, pod->second);
    (selected ? with_rules : now).push_back(std::move(waiting.done));
  }
  if (!with_rules.empty()) {
    render([with_rules](const Result<void>& result) {
      for (const Iptables::Done& done : with_rules) done(result);
    });
  } else if (!state_.policies.empty()) {
    changed();
  }
  for (const Iptables::Done& done : now) done({});
}

void PolicyNetwork::attach(const PodRef& pod, const std::string& sandbox_id,
                           const std::string& netns, Callback<std::vector<std::string>> done) {
  network_.attach(
      pod, sandbox_id, netns,
      [this, pod, sandbox_id, done = std::move(done)](Result<std::vector<std::string>> result) {
        if (!result.ok()) return done(std::move(result));
        auto answer = [done, addresses = *result](const Result<void>& limited) {
          done(limited.ok() ? Result<std::vector<std::string>>(addresses) : limited.error());
        };
        policies_.attached(*pod, sandbox_id, *result, std::move(answer));
      });
}

void PolicyNetwork::detach(const std::string& sandbox_id, Callback<void> done) {
  policies_.detached(sandbox_id);
  network_.detach(sandbox_id, std::move(done));
}

}  // namespace knarr::agent
