// The thread that owns the engine. The loop thread queues work; this thread takes all there is,
// commits every run of writes in it as one batch, and posts the answers back, in order. It sleeps
// when nothing is queued and no maintenance is due. It is woken once a phase of the loop, not for
// each job: otherwise the first of many writes that one turn queues would be a batch of its own.
// While it sleeps with nothing queued, the loop thread may use the engine for what needs no disk: a
// node's heartbeat then wakes nobody.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/loop.h"
#include "store/sqlite/engine.h"

namespace knarr::kv {

class CommitThread {
 public:
  // Completions run on the loop thread; none runs after the destructor.
  using Completion = std::function<void()>;

  CommitThread(base::Loop& loop, std::unique_ptr<Engine> engine);
  ~CommitThread();  // finishes the batch at hand, drops what is queued behind it
  CommitThread(const CommitThread&) = delete;
  CommitThread& operator=(const CommitThread&) = delete;

  void write(Write write, std::function<void(Outcome)> done);
  // Runs on the commit thread between batches; what it returns runs on the loop thread.
  void run(std::function<Completion(Engine&)> work);
  void backup(std::string path, Callback<Revision> done);

 private:
  struct Job {
    Write write;
    std::function<void(Outcome)> done;        // of a write
    std::function<Completion(Engine&)> work;  // else
  };

  void push(Job job);
  void wake_if_pushed();
  void main();
  bool take(std::vector<Job>& jobs, bool wait);
  bool write_in_memory(Write& write, std::function<void(Outcome)>& done);
  void process(std::vector<Job>& jobs);
  size_t commit_run(std::vector<Job>& jobs, size_t from);
  bool do_maintenance();
  void step_backup();
  void post(std::vector<Completion> completions);

  base::Loop& loop_;
  uv_prepare_t* before_poll_;  // loop thread, like the two below
  uv_check_t* after_poll_;
  bool pushed_ = false;
  std::unique_ptr<Engine> engine_;  // commit thread; with mutex_ held while asleep_: loop thread
  Callback<Revision> backup_done_;  // commit thread; set while a backup runs
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // loop thread

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Job> queue_;  // guarded by mutex_
  bool stopping_ = false;   // guarded by mutex_
  bool asleep_ = false;     // guarded by mutex_
  std::thread thread_;
};

}  // namespace knarr::kv
