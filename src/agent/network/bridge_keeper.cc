#include "agent/network/bridge_keeper.h"

#include <algorithm>

#include "base/log.h"

namespace knarr::agent {

namespace {

constexpr int64_t kFirstRetryMs = 500;
constexpr int64_t kLastRetryMs = 30'000;

}  // namespace

BridgeKeeper::BridgeKeeper(base::Loop& loop, base::Worker& worker, std::string bridge,
                           std::function<Job()> job)
    : worker_(worker),
      bridge_(std::move(bridge)),
      job_(std::move(job)),
      monitor_(loop, false, [this](const std::string& name) { link_changed(name); }),
      retry_(loop.timer([this] { make(); })) {}

void BridgeKeeper::start(std::function<void()> made) {
  made_ = std::move(made);
  if (auto listening = monitor_.start(); !listening.ok()) {
    base::log(base::Level::kWarning, "network", "a link that goes may stay unnoticed: {}",
              listening.error().message);
  }
  make();
}

void BridgeKeeper::make() {
  if (std::exchange(making_, true)) {
    again_ = true;
    return;
  }
  retry_->stop();
  worker_.run<void>(job_(), [this](const Result<void>& result) { ended(result); });
}

void BridgeKeeper::ended(const Result<void>& result) {
  making_ = false;
  retry_ms_ = result.ok() ? 0 : std::clamp(retry_ms_ * 2, kFirstRetryMs, kLastRetryMs);
  if (!result.ok()) {
    base::log(base::Level::kError, "network", "no {}, trying again in {} ms: {}", bridge_,
              retry_ms_, result.error().message);
    retry_->start(retry_ms_);
  } else if (made_) {
    std::exchange(made_, {})();
  }
  if (std::exchange(again_, false)) make();
}

// Links of pods come and go all the time: they are of interest as long as the bridge is not there.
void BridgeKeeper::link_changed(const std::string& name) {
  if (retry_ms_ > 0 || name == bridge_) make();
}

}  // namespace knarr::agent
