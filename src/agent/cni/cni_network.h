// The network of pods where plug-ins of others make it (--network-backend none), by the container
// network interface. An attachment of a sandbox:
//
//   kAdding     the chain of ADDs runs                 kAttached, kFailed; kDeleting when unwanted
//   kAttached   the result is on disk                  kDeleting
//   kFailed     an ADD failed; parts may be there      kDeleting
//   kDeleting   the chain of DELs runs, or waits       gone when it succeeds; else again, later
//
// A DEL that fails is tried again until it succeeds, over restarts too: addresses that a plug-in
// has given would else be lost. Plug-ins of version 1.1.0 are asked whether they are ready, again
// and again until they are, and told after a start what is attached. Loop thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/cni/attachment_files.h"
#include "agent/cni/config_folder.h"
#include "agent/cni/plugin_chain.h"
#include "agent/services.h"
#include "base/loop.h"

namespace knarr::agent {

struct CniOptions {
  std::string conf_dir = "/etc/cni/net.d";
  PluginChains::Options plugins;
  std::string state_dir;  // "<data-dir>/agent/network/cni"
};

class CniNetwork final : public PodNetwork {
 public:
  CniNetwork(base::Loop& loop, CniOptions options);
  ~CniNetwork() override;

  Result<void> start();

  void attach(const PodRef& pod, const std::string& sandbox_id, const std::string& netns,
              Callback<std::vector<std::string>> done) override;
  void detach(const std::string& sandbox_id, Callback<void> done) override;
  void keep_only(const std::vector<std::string>& sandbox_ids) override;
  std::string not_ready() const override;
  void on_readiness(std::function<void()> changed) override { readiness_ = std::move(changed); }

 private:
  enum class State { kAdding, kAttached, kFailed, kDeleting };
  struct Sandbox {
    CniRecord record;
    State state = State::kFailed;
    bool unwanted = false;                // to be detached when its ADD has ended
    bool running = false;                 // a chain is under way
    std::vector<Callback<void>> waiting;  // for the next DEL's end
    int64_t retry_ms = 0;
    std::unique_ptr<Timer> retry;
  };
  struct Held {
    PodRef pod;
    std::string sandbox_id, netns;
    Callback<std::vector<std::string>> done;
  };
  void config_changed();
  void ask_status();
  void set_status(std::string why);
  void collect_garbage();
  Result<CniRecord> record_of(const Pod& pod, const std::string& sandbox_id,
                              const std::string& netns) const;
  void add(const std::string& sandbox_id, Callback<std::vector<std::string>> done);
  Result<std::vector<std::string>> added(Sandbox& sandbox, Result<json::Value> result);
  void remove(const std::string& sandbox_id);
  void removed(const std::string& sandbox_id, const Result<void>& result);

  base::Loop& loop_;
  CniConfigFolder folder_;
  AttachmentFiles files_;
  std::map<std::string, Sandbox> sandboxes_;
  std::function<void()> readiness_;
  bool collecting_ = false;     // GC is under way
  std::vector<Held> after_gc_;  // wait for its end
  std::string not_ready_;       // why; empty: it is
  uint64_t asked_ = 0;          // times that status was: of all answers the last counts
  int64_t status_retry_ms_ = 0;
  std::unique_ptr<Timer> status_retry_;
  PluginChains chains_;
};

}  // namespace knarr::agent
