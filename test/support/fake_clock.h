// Time that stands still until a test moves it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "knarr/clock.h"

namespace knarr::test {

class FakeClock final : public Clock {
 public:
  int64_t now_us() const override { return kStartUs + now_ms_ * 1000; }
  int64_t monotonic_ms() const override { return now_ms_ += ms_per_look; }

  int64_t ms_per_look =
      0;  // what passes with each call of monotonic_ms, as a loaded machine has it

  std::unique_ptr<Timer> timer(std::function<void()> fn) override {
    return std::make_unique<FakeTimer>(*this, std::move(fn));
  }
  void defer(std::function<void()> fn) override { deferred_.push_back(std::move(fn)); }

  // Runs what is deferred, and all that this defers.
  void settle() {
    while (!deferred_.empty()) {
      std::vector<std::function<void()>> batch;
      batch.swap(deferred_);
      for (auto& fn : batch) fn();
    }
  }

  // Fires every timer due until then, in order of its time.
  void advance(int64_t ms) {
    int64_t end = now_ms_ + ms;
    settle();
    while (!due_.empty() && due_.begin()->first.first <= end) {
      auto it = due_.begin();
      now_ms_ = std::max(now_ms_, it->first.first);
      FakeTimer* timer = it->second;
      due_.erase(it);
      timer->fire();
      settle();
    }
    now_ms_ = end;
  }

 private:
  static constexpr int64_t kStartUs = 1'800'000'000'000'000;

  class FakeTimer final : public Timer {
   public:
    FakeTimer(FakeClock& clock, std::function<void()> fn) : clock_(clock), fn_(std::move(fn)) {}
    ~FakeTimer() override { stop(); }
    void start(int64_t delay_ms) override {
      stop();
      key_ = {clock_.now_ms_ + delay_ms, clock_.sequence_++};
      clock_.due_[key_] = this;
      active_ = true;
    }
    void stop() override {
      if (active_) clock_.due_.erase(key_);
      active_ = false;
    }
    bool active() const override { return active_; }
    void fire() {
      active_ = false;
      std::function<void()> fn = fn_;  // may destroy the timer
      fn();
    }

   private:
    FakeClock& clock_;
    std::function<void()> fn_;
    std::pair<int64_t, int64_t> key_;
    bool active_ = false;
  };

  mutable int64_t now_ms_ = 1000;
  int64_t sequence_ = 0;
  std::map<std::pair<int64_t, int64_t>, FakeTimer*> due_;
  std::vector<std::function<void()>> deferred_;
};

}  // namespace knarr::test
