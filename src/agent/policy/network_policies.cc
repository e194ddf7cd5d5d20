#include "agent/policy/network_policies.h"

#include <algorithm>

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

NetworkPolicies::NetworkPolicies(base::Loop& loop, client::Client& client, Iptables& iptables,
                                 std::string node_name)
    : loop_(loop), client_(client), iptables_(iptables), timer_(loop.timer([this] {
        if (ready()) render();
      })) {
  config_.prefix = iptables.prefix();
  config_.node_name = std::move(node_name);
  config_.mark = iptables.policy_mark();
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

bool NetworkPolicies::put_pod(const NamespacedName& name, PolicyPod pod) {
  auto given = attached_.find(name);
  if (given != attached_.end()) {
    if (pod.addresses.empty() && !pod.over && pod.own_network) {
      pod.addresses = given->second;
    } else {
      attached_.erase(given);
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
  attached_.clear();
}

void NetworkPolicies::changed() {
  if (synced_[Kind::kPolicy]) follow();
  if (!ready() || timer_->active()) return;
  int64_t since_ms = loop_.monotonic_ms() - last_ms_;
  timer_->start(std::max<int64_t>(0, kSpacingMs - since_ms));
}

void NetworkPolicies::render(Iptables::Done done) {
  last_ms_ = loop_.monotonic_ms();
  iptables_.set(RulePart::kPolicy, policy_rules(state_, config_), std::move(done));
}

void NetworkPolicies::attached(const Pod& pod, const std::vector<std::string>& addresses,
                               Iptables::Done done) {
  if (state_.policies.empty()) return done({});
  std::vector<api::IpAddress>& given = attached_[pod.object()->name];
  given.clear();
  for (const std::string& text : addresses) {
    if (auto ip = api::IpAddress::parse(text)) given.push_back(*ip);
  }
  PolicyPod view = parse_policy_pod(pod.json());
  view.addresses = given;
  bool selected = is_selected(state_, pod.object()->name, view);
  put_pod(pod.object()->name, std::move(view));
  if (!ready()) return done({});
  if (!selected) {
    changed();
    return done({});
  }
  render(std::move(done));
}

void PolicyNetwork::attach(const PodRef& pod, const std::string& sandbox_id,
                           const std::string& netns, Callback<std::vector<std::string>> done) {
  network_.attach(
      pod, sandbox_id, netns,
      [this, pod, done = std::move(done)](Result<std::vector<std::string>> result) {
        if (!result.ok()) return done(std::move(result));
        policies_.attached(*pod, *result, [done, addresses = *result](const Result<void>& limited) {
          done(limited.ok() ? Result<std::vector<std::string>>(addresses) : limited.error());
        });
      });
}

}  // namespace knarr::agent
