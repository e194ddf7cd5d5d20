// Runs the plug-ins of a configuration one after the other: ADD in their order, each with the
// result of the one before; DEL in reverse, each with the result that is kept; STATUS and GC, which
// are of no attachment. Loop thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/cni/plugin_process.h"
#include "agent/cni/request.h"
#include "agent/services.h"
#include "base/loop.h"

namespace knarr::agent {

class PluginChains {
 public:
  struct Options {
    std::vector<std::string> bin_dirs = {"/opt/cni/bin", "/usr/lib/cni"};
    int64_t timeout_ms = 120'000;  // of one plug-in
  };
  PluginChains(base::Loop& loop, Options options);
  ~PluginChains();  // what runs is killed, and not answered

  // Answers the result of the last plug-in, or what the first to fail said.
  void add(const CniConfig& config, const CniAttachment& attachment, Callback<json::Value> done);
  // `result` of the ADD; null when there is none. Ends at the first that fails.
  void del(const CniConfig& config, const CniAttachment& attachment, json::Value result,
           Callback<void> done);
  // Whether the network can attach now; else what the first plug-in says that cannot.
  void status(const CniConfig& config, Callback<void> done);
  // What is attached: all else may be freed. One that fails does not keep the others from it; the
  // first error is answered.
  void gc(const CniConfig& config, json::Value attachments, Callback<void> done);

 private:
  class Chain;
  void start(std::shared_ptr<Chain> chain);
  void run(const CniConfig& config, const CniAttachment& attachment, CniCommand command,
           json::Value value, Callback<void> done);

  base::Loop& loop_;
  Options options_;
  std::map<const Chain*, std::shared_ptr<Chain>> running_;
};

// The executable of a type: in the first of the folders that has it.
Result<std::string> find_plugin(const std::string& type, const std::vector<std::string>& bin_dirs);

}  // namespace knarr::agent
