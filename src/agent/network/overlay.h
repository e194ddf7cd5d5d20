// The way to the pods of other nodes: watches all nodes, and keeps routes and tunnel true to them.
// A heartbeat of a node, which changes nothing here, costs a look at it. What the kernel refused is
// tried again after a while, and at once when a link changes; a device or a link that was taken
// away or down comes back by itself. A node that is met is asked whether it answers: a firewall on
// the way is told of, in the log and as an Event of this node. What goes to a node that does not
// answer goes by the server's relay meanwhile, and it is asked again now and then. Which nodes
// those are the kernel's routes know after a restart, as its link knows that this node is such to
// another; the link goes when nothing came by it for a while. With the backend "none" what another
// has left is removed, and nothing watched. Loop thread; kernel work on a worker's.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "agent/network/link_monitor.h"
#include "agent/network/overlay_links.h"
#include "agent/network/overlay_plan.h"
#include "agent/network/peer_check.h"
#include "agent/network/relay_port.h"
#include "api/event_recorder.h"
#include "base/worker.h"
#include "knarr/client.h"

namespace knarr::agent {

class Overlay final : public client::WatchHandler {
 public:
  Overlay(base::Loop& loop, Random& random, client::Client& client, OverlayOptions options);
  ~Overlay() override;

  void start();
  bool settled() const { return !applying_ && !changed_ && !retry_->active(); }
  bool asking() const { return !check_.idle(); }
  // Nodes that did not answer when they were asked.
  const std::set<std::string>& silent() const { return silent_; }
  bool relays() const { return relay_.usable() && !no_relay_->active(); }
  RelayPort& relay() { return relay_; }

  void on_upsert(const ObjectRef& node) override;
  void on_delete(const ObjectRef& last) override;
  void on_synced() override;

 private:
  void remember();
  void remembered(const std::vector<api::Cidr>& ranges);
  void changed();
  void step();
  RelayNeeds relay_needs() const;
  void open_relay();
  void relay_failed(const Error& error);
  void relay_wanted();
  void look_at_relay();
  void apply();
  void applied(const Result<void>& result);
  void listen();
  void check_peers();
  void checked(const std::string& node, PeerCheck::Outcome outcome);
  void report(const std::string& node);
  void ask_later();
  void ask_again();
  void link_changed(const std::string& name);

  base::Loop& loop_;
  client::Client& client_;
  OverlayOptions options_;
  std::map<std::string, OverlayNode> nodes_;
  std::optional<OverlayPlan> plan_;  // that is in the kernel, as far as we know
  bool synced_ = false;
  bool changed_ = false;  // since the work that is under way began
  bool applying_ = false;
  int64_t retry_ms_ = 0;
  std::unique_ptr<Timer> retry_;
  std::shared_ptr<OverlayLinks> links_;  // used by worker_ alone
  std::unique_ptr<LinkMonitor> monitor_;
  std::map<std::string, OverlayNode> asked_;  // as they were then
  std::set<std::string> silent_;
  std::set<std::string> relayed_;  // late ones, too
  bool relay_wanted_ = false;      // by the server
  RelayPort relay_;
  std::string relay_error_;          // the last one
  std::unique_ptr<Timer> no_relay_;  // its link can't be had until then
  PeerCheck check_;
  std::unique_ptr<Timer> again_;
  api::EventRecorder events_;
  std::unique_ptr<base::Worker> worker_;  // null while this node is alone
  std::unique_ptr<client::Watch> watch_;
};

}  // namespace knarr::agent
