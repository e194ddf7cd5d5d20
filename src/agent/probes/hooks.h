// postStart and preStop: the agent's LifecycleHooks.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "agent/probes/handler.h"

namespace knarr::agent {

class HookRunner final : public LifecycleHooks {
 public:
  HookRunner(Clock& clock, HandlerRunner& runner) : clock_(clock), runner_(runner) {}
  void run(const Prober::Target& target, const json::Value& handler, int64_t timeout_ms,
           Callback<void> done) override;

 private:
  Clock& clock_;
  HandlerRunner& runner_;
  std::map<uint64_t, std::unique_ptr<HandlerRun>> runs_;
  uint64_t next_ = 0;
};

}  // namespace knarr::agent
