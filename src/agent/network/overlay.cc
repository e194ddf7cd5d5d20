#include "agent/network/overlay.h"

#include <algorithm>

#include "agent/network/links.h"
#include "agent/network/rtnetlink.h"
#include "agent/network/tun.h"
#include "api/ip_list.h"
#include "base/format.h"
#include "base/json.h"
#include "base/log.h"

namespace knarr::agent {

namespace {

constexpr int64_t kFirstRetryMs = 500;
constexpr int64_t kLastRetryMs = 30'000;
constexpr int kMostUnused = 5;  // questions

// Only a tunnel has a link of its own to ask through.
std::string asking_link(const OverlayOptions& options) {
  return options.backend == NetworkBackend::kVxlan ? options.device : std::string();
}

bool is_at(const OverlayNode& a, const OverlayNode& b) {
  return a.addresses == b.addresses && a.ranges == b.ranges;
}

}  // namespace

Overlay::Overlay(base::Loop& loop, Random& random, client::Client& client, OverlayOptions options)
    : loop_(loop),
      client_(client),
      options_(std::move(options)),
      retry_(loop.timer([this] { changed(); })),
      links_(std::make_shared<OverlayLinks>(options_)),
      relay_(loop, random),
      no_relay_(loop.timer([this] { changed(); })),
      check_(loop, asking_link(options_), options_.first_wait_ms,
             [this](const std::string& node, PeerCheck::Outcome o) { checked(node, o); }),
      again_(loop.timer([this] { ask_again(); })),
      events_(client, loop, "knarr-network", options_.node_name) {
  relay_.on_wanted([this] { relay_wanted(); });
}

Overlay::~Overlay() = default;

void Overlay::start() {
  if (options_.backend != NetworkBackend::kNone) {
    watch_ = client_.watch({"", "v1", "nodes", "", "", ""}, *this);
    return;
  }
  worker_ = std::make_unique<base::Worker>(loop_);
  applying_ = true;
  worker_->run<void>([links = links_] { return links->apply({}); },
                     [this](const Result<void>& result) {
                       applying_ = false;
                       worker_ = nullptr;
                       if (result.ok()) return;
                       base::log(base::Level::kWarning, "network",
                                 "the links of another --network-backend may still be there: {}",
                                 result.error().message);
                     });
}

void Overlay::on_upsert(const ObjectRef& node) {
  auto value = json::parse(node->json);
  if (!value.ok()) {
    base::log(base::Level::kWarning, "network", "node {}: {}", node->name.name,
              value.error().message);
    return;
  }
  OverlayNode view = parse_overlay_node(*value);
  auto [it, added] = nodes_.try_emplace(node->name.name);
  if (!added && it->second == view) return;
  bool is_back = !added && view.ready && !it->second.ready;
  if (is_back && silent_.contains(node->name.name)) asked_.erase(node->name.name);
  it->second = std::move(view);
  changed();
}

// This node's own object may be deleted and made again while its pods go on.
void Overlay::on_delete(const ObjectRef& last) {
  if (last->name.name == options_.node_name) return;
  const std::string& name = last->name.name;
  check_.forget(name);
  asked_.erase(name);
  silent_.erase(name);
  relayed_.erase(name);
  if (nodes_.erase(name) > 0) changed();
}

void Overlay::on_synced() {
  if (!synced_ && link_index(options_.relay_device()) != 0) {
    relay_wanted();
    return remember();
  }
  synced_ = true;
  changed();
}

// A process before this one has found out who is silent.
void Overlay::remember() {
  worker_ = std::make_unique<base::Worker>(loop_);
  worker_->run<std::vector<api::Cidr>>([links = links_] { return links->relayed(); },
                                       [this](Result<std::vector<api::Cidr>> ranges) {
                                         if (ranges.ok()) remembered(*ranges);
                                         synced_ = true;
                                         changed();
                                       });
}

void Overlay::remembered(const std::vector<api::Cidr>& ranges) {
  for (const auto& [name, node] : nodes_) {
    bool is_relayed = std::any_of(node.ranges.begin(), node.ranges.end(), [&](const auto& range) {
      return std::find(ranges.begin(), ranges.end(), range) != ranges.end();
    });
    if (is_relayed) relayed_.insert(name);
  }
}

void Overlay::changed() {
  changed_ = true;
  step();
}

void Overlay::step() {
  if (!synced_ || !changed_ || applying_) return;
  if (relay_.attached() && link_index(options_.relay_device()) == 0) relay_.detach();
  auto plan = plan_overlay(options_, nodes_, relay_needs());
  if (!plan) return;
  changed_ = false;
  if (plan_ == plan && plan->relay == relay_.attached()) return check_peers();
  plan_ = plan;
  retry_->stop();
  applying_ = true;
  if (!worker_) worker_ = std::make_unique<base::Worker>(loop_);
  if (plan_->relay && !relay_.attached()) return open_relay();
  apply();
}

// A node that is down is not reached by the server's relay either.
RelayNeeds Overlay::relay_needs() const {
  RelayNeeds needs;
  if (!relays()) return needs;
  needs.link = relay_wanted_;
  for (const std::string& name : relayed_) {
    auto node = nodes_.find(name);
    if (node != nodes_.end() && node->second.ready) needs.nodes.insert(name);
  }
  return needs;
}

// Without such a link, too, all others are reached.
void Overlay::open_relay() {
  worker_->run<base::UniqueFd>([name = options_.relay_device()] { return open_tun(name); },
                               [this](Result<base::UniqueFd> tun) {
                                 if (!tun.ok()) return relay_failed(tun.error());
                                 relay_.attach(std::move(*tun));
                                 apply();
                               });
}

void Overlay::relay_failed(const Error& error) {
  if (std::exchange(relay_error_, error.message) != error.message) {
    base::log(base::Level::kWarning, "network", "nothing can go by the server's relay: {}",
              error.message);
  }
  no_relay_->start(options_.ask_again_ms);
  applying_ = false;
  changed();
}

// This node may be silent to another, and hear of it by the relay alone.
void Overlay::relay_wanted() {
  relay_wanted_ = true;
  ask_later();
  changed();
}

// What is sent there later has it opened again.
void Overlay::look_at_relay() {
  if (!relay_wanted_) return;
  int64_t unused_ms = loop_.monotonic_ms() - relay_.used_ms();
  bool stays = relay_.attached() && unused_ms < options_.ask_again_ms * kMostUnused;
  if (stays) return ask_later();
  relay_wanted_ = false;
  changed();
}

// A link may have changed while that of the relay was opened: then there is another plan to make.
void Overlay::apply() {
  if (!plan_) {
    applying_ = false;
    return changed();
  }
  if (!plan_->relay) relay_.detach();
  worker_->run<void>([links = links_, plan = *plan_] { return links->apply(plan); },
                     [this](const Result<void>& result) { applied(result); });
}

void Overlay::applied(const Result<void>& result) {
  applying_ = false;
  if (result.ok()) {
    retry_ms_ = 0;
    check_peers();
  } else {
    plan_.reset();
    retry_ms_ = std::clamp(retry_ms_ * 2, kFirstRetryMs, kLastRetryMs);
    base::log(base::Level::kWarning, "network",
              "not all nodes can be reached, trying again in {} ms: {}", retry_ms_,
              result.error().message);
    retry_->start(retry_ms_);
  }
  // A cluster of one node needs neither thread nor ears.
  bool alone = result.ok() && plan_ && plan_->routes.empty();
  if (alone) {
    monitor_ = nullptr;
    worker_ = nullptr;
  } else if (!monitor_) {
    listen();
  }
  step();
}

// Of a node's range the first address is its bridge's.
void Overlay::check_peers() {
  if (!plan_) return;  // a link changed meanwhile: it is applied again, and then they are asked
  for (const OverlayRoute& route : plan_->routes) {
    for (const auto& [name, node] : nodes_) {
      if (node.ranges.empty() || !(node.ranges.front() == route.to)) continue;
      auto before = asked_.find(name);
      if (before != asked_.end() && is_at(before->second, node)) continue;
      if (check_.check(name, *route.to.address.plus(1))) {
        asked_[name] = node;
      } else {
        ask_later();
      }
    }
  }
}

void Overlay::checked(const std::string& node, PeerCheck::Outcome outcome) {
  using Outcome = PeerCheck::Outcome;
  if (outcome == Outcome::kAnswered) {
    silent_.erase(node);
    if (relayed_.erase(node) > 0) changed();
    return;
  }
  if (outcome == Outcome::kSilent) {
    if (silent_.insert(node).second) report(node);
    ask_later();
  }
  bool tunnels = options_.backend == NetworkBackend::kVxlan;
  if (tunnels && relayed_.insert(node).second) changed();
}

void Overlay::ask_later() {
  if (!again_->active()) again_->start(options_.ask_again_ms);
}

void Overlay::ask_again() {
  for (const std::string& name : silent_) {
    auto node = nodes_.find(name);
    if (node != nodes_.end() && node->second.ready) asked_.erase(name);
  }
  check_peers();
  look_at_relay();
}

void Overlay::report(const std::string& node) {
  std::string message =
      options_.backend == NetworkBackend::kVxlan
          ? fmt::format(
                "The pod network of node {} does not answer: is the node up, and does every "
                "firewall between let UDP port {} pass?{}",
                node, options_.port, relays() ? " What is for it goes through the server." : "")
          : fmt::format(
                "The pod network of node {} does not answer: is the node up, on the same "
                "link, and does it forward?",
                node);
  base::log(base::Level::kWarning, "network", "{}", message);
  const std::string& own = options_.node_name;
  json::Value reference =
      json::Value::object({{"kind", "Node"}, {"name", own}, {"uid", own}, {"apiVersion", "v1"}});
  events_.record(reference, api::EventType::kWarning, "PodNetworkSilent", message);
}

void Overlay::listen() {
  bool v6 = api::has_family(options_.cluster_cidr, true);
  monitor_ = std::make_unique<LinkMonitor>(loop_, v6,
                                           [this](const std::string& name) { link_changed(name); });
  auto listening = monitor_->start();
  if (!listening.ok()) {
    base::log(base::Level::kWarning, "network", "a link that goes down may stay unnoticed: {}",
              listening.error().message);
  }
}

// The links of this node's pods come and go all the time, and are none of our business.
void Overlay::link_changed(const std::string& name) {
  if (is_pod_link(name)) return;
  if (name == options_.relay_device()) no_relay_->stop();
  plan_.reset();
  changed();
}

}  // namespace knarr::agent
