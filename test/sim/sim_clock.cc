#include "sim_clock.h"

#include <algorithm>

namespace knarr::sim {

class SimClock::SimTimer final : public Timer {
 public:
  SimTimer(SimClock& clock, std::function<void()> fn) : clock_(clock), fn_(std::move(fn)) {}
  ~SimTimer() override { stop(); }
  void start(int64_t delay_ms) override {
    stop();
    key_ = clock_.add(std::max<int64_t>(0, delay_ms), [this] {
      active_ = false;
      fn_();
    });
    active_ = true;
  }
  void stop() override {
    if (active_) clock_.due_.erase(key_);
    active_ = false;
  }
  bool active() const override { return active_; }

 private:
  SimClock& clock_;
  std::function<void()> fn_;
  Key key_;
  bool active_ = false;
};

std::unique_ptr<Timer> SimClock::timer(std::function<void()> fn) {
  return std::make_unique<SimTimer>(*this, std::move(fn));
}

SimClock::Key SimClock::add(int64_t delay_ms, std::function<void()> fn) {
  Key key{now_ms_ + delay_ms, sequence_++};
  due_.emplace(key, std::move(fn));
  return key;
}

bool SimClock::run_until(const std::function<bool()>& condition, int64_t limit_ms) {
  int64_t end = now_ms_ + limit_ms;
  while (!condition()) {
    if (due_.empty() || due_.begin()->first.first > end) {
      now_ms_ = end;
      return condition();
    }
    auto node = due_.extract(due_.begin());
    now_ms_ = std::max(now_ms_, node.key().first);
    ++steps_;
    node.mapped()();
  }
  return true;
}

}  // namespace knarr::sim
