// What all nodes of a cluster must agree on: written by the server as a ConfigMap, read by agents
// when they start.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/json.h"
#include "cli/node_options.h"
#include "knarr/client.h"
#include "knarr/clock.h"
#include "knarr/random.h"

namespace knarr::cli {

// The ConfigMap's data, and back; what is missing there stays as it is.
json::Value cluster_settings(const NodeOptions& options);
void take_cluster_settings(const json::Value& data, NodeOptions& options);

// Writes the ConfigMap, by server-side apply.
client::Request publish_settings(const NodeOptions& options);

// Asks until the server, or the client's memory of it, answers.
class ClusterSettings {
 public:
  ClusterSettings(Clock& clock, Random& random, client::Client& client, NodeOptions& options);
  ~ClusterSettings();

  // `known` once, when `options` hold what the cluster says.
  void fetch(std::function<void()> known);

 private:
  void ask();
  void answered(const Result<ObjectRef>& reply);

  Random& random_;
  client::Client& client_;
  NodeOptions& options_;
  std::function<void()> known_;
  int failures_ = 0;  // in a row
  std::unique_ptr<Timer> retry_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace knarr::cli
