#include "agent/probes/hooks.h"

#include "base/format.h"

namespace knarr::agent {

namespace {

// A hook without a limit of its own (postStart) may take as long as it likes; a day is as good.
constexpr int64_t kNoLimitMs = 24 * 3600 * 1000;

}  // namespace

void HookRunner::run(const Prober::Target& target, const json::Value& handler, int64_t timeout_ms,
                     Callback<void> done) {
  uint64_t id = next_++;
  std::string container = target.container->name;
  runs_[id] =
      runner_.run(target, handler, timeout_ms > 0 ? timeout_ms : kNoLimitMs,
                  [this, id, container, done](const HandlerResult& result) {
                    clock_.defer([this, id] { runs_.erase(id); });
                    if (result.verdict == HandlerResult::Verdict::kSuccess) {
                      done({});
                    } else {
                      done(make_error(Code::kInternalError,
                                      fmt::format("lifecycle hook of container \"{}\" failed: {}",
                                                  container, result.output)));
                    }
                  });
}

}  // namespace knarr::agent
