#include "base/loop.h"

#include <chrono>
#include <utility>

#include "base/log.h"
#include "knarr/check.h"

namespace knarr::base {

namespace {

constexpr uint64_t kLookMs = 1000;
constexpr int kMostLooks = 15;

// The handle outlives the Timer until libuv lets it go, so the function lives with the handle.
class LoopTimer final : public Timer {
 public:
  LoopTimer(uv_loop_t* loop, std::function<void()> fn) : handle_(new Handle{{}, std::move(fn)}) {
    CHECK(uv_timer_init(loop, &handle_->uv) == 0);
    handle_->uv.data = handle_;
  }
  ~LoopTimer() override {
    uv_timer_stop(&handle_->uv);
    uv_close(reinterpret_cast<uv_handle_t*>(&handle_->uv),
             [](uv_handle_t* h) { delete static_cast<Handle*>(h->data); });
  }
  void start(int64_t delay_ms) override {
    uv_update_time(handle_->uv.loop);
    auto fire = [](uv_timer_t* t) {
      std::function<void()> fn = static_cast<Handle*>(t->data)->fn;  // may destroy the timer
      fn();
    };
    uv_timer_start(&handle_->uv, fire, delay_ms > 0 ? static_cast<uint64_t>(delay_ms) : 0, 0);
  }
  void stop() override { uv_timer_stop(&handle_->uv); }
  bool active() const override {
    return uv_is_active(reinterpret_cast<const uv_handle_t*>(&handle_->uv)) != 0;
  }

 private:
  struct Handle {
    uv_timer_t uv;
    std::function<void()> fn;
  };
  Handle* handle_;
};

}  // namespace

Loop::Loop() : wake_(new uv_async_t) {
  CHECK(uv_loop_init(&loop_) == 0);
  loop_.data = this;
  CHECK(uv_async_init(&loop_, wake_,
                      [](uv_async_t* a) { static_cast<Loop*>(a->loop->data)->drain(); }) == 0);
}

// A handle that somebody has left open (a connection that keeps its owner) would be waited for
// forever, and a process would not end. Requests, which libuv may have in threads, are given time.
Loop::~Loop() {
  close_handle(wake_);
  uv_timer_t limit;
  uv_timer_init(&loop_, &limit);
  uv_unref(reinterpret_cast<uv_handle_t*>(&limit));
  int looks = 0;
  limit.data = &looks;
  auto look = [](uv_timer_t* timer) {
    int n = ++*static_cast<int*>(timer->data);
    if (timer->loop->active_reqs.count == 0 || n == kMostLooks) uv_stop(timer->loop);
  };
  uv_timer_start(&limit, look, kLookMs, kLookMs);
  uv_run(&loop_, UV_RUN_DEFAULT);
  uv_close(reinterpret_cast<uv_handle_t*>(&limit), nullptr);
  uv_run(&loop_, UV_RUN_NOWAIT);
  if (uv_loop_close(&loop_) != 0) log(Level::kWarning, "loop", "something was left open");
}

void Loop::run() {
  while (!stopping_) uv_run(&loop_, UV_RUN_DEFAULT);
  stopping_ = false;
}

void Loop::stop() {
  stopping_ = true;
  uv_stop(&loop_);
}

bool Loop::run_until(const std::function<bool()>& condition, int64_t timeout_ms) {
  bool timed_out = false;
  std::unique_ptr<Timer> limit = timer([&timed_out] { timed_out = true; });
  limit->start(timeout_ms);
  while (!condition()) {
    if (timed_out) return false;
    uv_run(&loop_, UV_RUN_ONCE);
  }
  return true;
}

void Loop::post(std::function<void()> fn) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    posted_.push_back(std::move(fn));
  }
  uv_async_send(wake_);
}

// A deferred function is a posted one: it runs in the next turn of the loop.
void Loop::defer(std::function<void()> fn) { post(std::move(fn)); }

void Loop::drain() {
  std::vector<std::function<void()>> batch;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    batch.swap(posted_);
  }
  for (std::function<void()>& fn : batch) fn();
}

int64_t Loop::now_us() const {
  auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}

int64_t Loop::monotonic_ms() const { return static_cast<int64_t>(uv_hrtime() / 1000000); }

std::unique_ptr<Timer> Loop::timer(std::function<void()> fn) {
  return std::make_unique<LoopTimer>(&loop_, std::move(fn));
}

struct FdWatch::State {
  uv_poll_t uv;
  std::function<void(int)> fn;
  bool closed = false;
};

FdWatch::FdWatch(Loop& loop, int fd, int events, std::function<void(int events)> fn)
    : state_(new State{{}, std::move(fn)}) {
  CHECK(uv_poll_init(loop.uv(), &state_->uv, fd) == 0);
  state_->uv.data = state_;
  set_events(events);
}

FdWatch::~FdWatch() {
  state_->closed = true;
  uv_poll_stop(&state_->uv);
  uv_close(reinterpret_cast<uv_handle_t*>(&state_->uv),
           [](uv_handle_t* h) { delete static_cast<State*>(h->data); });
}

void FdWatch::set_events(int events) {
  if (events == 0) {
    uv_poll_stop(&state_->uv);
    return;
  }
  uv_poll_start(&state_->uv, events, [](uv_poll_t* p, int status, int ready) {
    auto* state = static_cast<State*>(p->data);
    // The watch may be destroyed by its own function; State lives until libuv lets go.
    if (!state->closed) state->fn(status < 0 ? UV_READABLE : ready);
  });
}

}  // namespace knarr::base
