#include "store/sqlite/commit_thread.h"

#include <pthread.h>
#include <signal.h>

#include <utility>

#include "base/log.h"

namespace knarr::kv {

namespace {

// Bounds of one transaction, so that its first writer does not wait for too many others.
constexpr size_t kBatchWrites = 512;
constexpr size_t kBatchBytes = 4 * 1024 * 1024;

size_t bytes_of(const Write& write) {
  size_t bytes = 0;
  for (const Op& op : write.txn.ops) bytes += op.key.size() + op.value.size();
  return bytes;
}

CommitThread::Completion answer(std::function<void(Outcome)> done, Outcome outcome) {
  return [done = std::move(done), outcome = std::make_shared<Outcome>(std::move(outcome))] {
    done(std::move(*outcome));
  };
}

}  // namespace

CommitThread::CommitThread(base::Loop& loop, std::unique_ptr<Engine> engine)
    : loop_(loop),
      before_poll_(new uv_prepare_t),
      after_poll_(new uv_check_t),
      engine_(std::move(engine)) {
  uv_prepare_init(loop_.uv(), before_poll_);
  uv_check_init(loop_.uv(), after_poll_);
  before_poll_->data = after_poll_->data = this;
  uv_prepare_start(before_poll_, [](uv_prepare_t* handle) {
    static_cast<CommitThread*>(handle->data)->wake_if_pushed();
  });
  uv_check_start(after_poll_, [](uv_check_t* handle) {
    static_cast<CommitThread*>(handle->data)->wake_if_pushed();
  });
  uv_unref(reinterpret_cast<uv_handle_t*>(before_poll_));
  uv_unref(reinterpret_cast<uv_handle_t*>(after_poll_));
  // Signals are the loop thread's.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { main(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

CommitThread::~CommitThread() {
  *alive_ = false;
  base::close_handle(before_poll_);
  base::close_handle(after_poll_);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void CommitThread::write(Write write, std::function<void(Outcome)> done) {
  if (write_in_memory(write, done)) return;
  push({std::move(write), std::move(done), nullptr});
}

// Answers before this one have been posted, those after it will be: the order holds.
bool CommitThread::write_in_memory(Write& write, std::function<void(Outcome)>& done) {
  std::vector<Outcome> outcomes;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!asleep_ || !queue_.empty() || !engine_->needs_no_disk(write)) return false;
    outcomes = engine_->apply({&write, 1});
  }
  std::vector<Completion> completions;
  completions.push_back(answer(std::move(done), std::move(outcomes[0])));
  post(std::move(completions));
  return true;
}

void CommitThread::run(std::function<Completion(Engine&)> work) {
  push({{}, nullptr, std::move(work)});
}

void CommitThread::push(Job job) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    queue_.push_back(std::move(job));
  }
  pushed_ = true;
}

void CommitThread::wake_if_pushed() {
  if (std::exchange(pushed_, false)) wake_.notify_one();
}

void CommitThread::main() {
  pthread_setname_np(pthread_self(), "knarr-commit");
  std::vector<Job> jobs;
  bool maintenance_due = true;
  while (take(jobs, !maintenance_due)) {
    process(jobs);
    jobs.clear();
    engine_->checkpoint_if_due();
    maintenance_due = do_maintenance();
  }
  Result<void> closed = engine_->close();
  if (!closed.ok()) base::log(base::Level::kError, "store", "{}", closed.error().message);
}

// False: the thread shall end.
bool CommitThread::take(std::vector<Job>& jobs, bool wait) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (wait) {
    asleep_ = true;
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    asleep_ = false;
  }
  jobs.swap(queue_);
  return !stopping_;
}

void CommitThread::process(std::vector<Job>& jobs) {
  for (size_t i = 0; i < jobs.size();) {
    if (jobs[i].work) {
      post({jobs[i].work(*engine_)});
      ++i;
    } else {
      i += commit_run(jobs, i);
    }
  }
}

// Commits the writes that stand together from `from` on; returns how many.
size_t CommitThread::commit_run(std::vector<Job>& jobs, size_t from) {
  std::vector<Write> writes;
  size_t bytes = 0;
  for (size_t i = from; i < jobs.size() && !jobs[i].work; ++i) {
    bytes += bytes_of(jobs[i].write);
    if (!writes.empty() && (writes.size() == kBatchWrites || bytes > kBatchBytes)) break;
    writes.push_back(std::move(jobs[i].write));
  }
  std::vector<Outcome> outcomes = engine_->apply(writes);
  std::vector<Completion> completions;
  completions.reserve(outcomes.size());
  for (size_t i = 0; i < outcomes.size(); ++i) {
    completions.push_back(answer(std::move(jobs[from + i].done), std::move(outcomes[i])));
  }
  post(std::move(completions));
  return writes.size();
}

void CommitThread::backup(std::string path, Callback<Revision> done) {
  run([this, path = std::move(path), done = std::move(done)](Engine& engine) -> Completion {
    Result<void> started = engine.backup_start(path);
    if (!started.ok()) return [done, error = started.error()] { done(error); };
    backup_done_ = done;
    return [] {};
  });
}

bool CommitThread::do_maintenance() {
  bool more = engine_->maintain();
  if (backup_done_) step_backup();
  return more || backup_done_ != nullptr;
}

void CommitThread::step_backup() {
  Result<bool> finished = engine_->backup_step();
  if (finished.ok() && !*finished) return;
  Result<Revision> result =
      finished.ok() ? Result<Revision>(engine_->revision()) : Result<Revision>(finished.error());
  post({[done = std::move(backup_done_), result] { done(result); }});
  backup_done_ = nullptr;
}

void CommitThread::post(std::vector<Completion> completions) {
  loop_.post([alive = alive_, completions = std::move(completions)] {
    for (const Completion& completion : completions) {
      if (!*alive) return;
      completion();
    }
  });
}

}  // namespace knarr::kv
