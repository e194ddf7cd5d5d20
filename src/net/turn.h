// Work for the end of this turn of the loop: connections collect what was written during a turn and
// send it at once, and events that must not come from within a call are told from here. Costs
// nothing while there is no work. Loop thread only.
#pragma once

#include <uv.h>

#include <memory>
#include <vector>

namespace knarr::net {

class TurnTask {
 public:
  virtual ~TurnTask() = default;
  virtual void end_of_turn() = 0;

 private:
  friend class TurnQueue;
  bool queued_ = false;
};

class TurnQueue {
 public:
  explicit TurnQueue(uv_loop_t* loop);
  ~TurnQueue();
  TurnQueue(const TurnQueue&) = delete;
  TurnQueue& operator=(const TurnQueue&) = delete;

  uv_loop_t* loop() const { return loop_; }
  // Once a turn, however often it is asked for. The task lives until it has run.
  void add(std::shared_ptr<TurnTask> task);

 private:
  struct Handles;
  void run();

  uv_loop_t* loop_;
  Handles* handles_;
  std::vector<std::shared_ptr<TurnTask>> tasks_;
};

}  // namespace knarr::net
