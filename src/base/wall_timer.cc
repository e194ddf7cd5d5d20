#include "base/wall_timer.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>

#include "knarr/check.h"

namespace knarr::base {

namespace {

constexpr int64_t kSecondUs = 1000000;

}  // namespace

WallTimer::WallTimer(Loop& loop, std::function<void()> fn)
    : fn_(std::move(fn)), fd_(timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC)) {
  CHECK(fd_.get() >= 0);
  watch_ = std::make_unique<FdWatch>(loop, fd_.get(), UV_READABLE, [this](int) { fire(); });
}

WallTimer::~WallTimer() = default;

void WallTimer::start(int64_t at_us) {
  itimerspec when = {};
  at_us = std::max<int64_t>(at_us, 1);
  when.it_value.tv_sec = at_us / kSecondUs;
  when.it_value.tv_nsec = at_us % kSecondUs * 1000;
  active_ = true;
  int set = timerfd_settime(fd_.get(), TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &when, nullptr);
  // The clock was set since it was last read: armed all the same.
  CHECK(set == 0 || errno == ECANCELED);
}

void WallTimer::stop() {
  active_ = false;
  itimerspec never = {};
  timerfd_settime(fd_.get(), 0, &never, nullptr);
}

// A read that fails with ECANCELED tells that the clock was set.
void WallTimer::fire() {
  uint64_t times = 0;
  ssize_t got = read(fd_.get(), &times, sizeof times);
  if ((got < 0 && errno != ECANCELED) || !std::exchange(active_, false)) return;
  itimerspec never = {};
  timerfd_settime(fd_.get(), 0, &never, nullptr);
  fn_();
}

}  // namespace knarr::base
