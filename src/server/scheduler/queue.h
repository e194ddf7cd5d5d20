// Pods that wait for a node, in three places: active (by priority, then age), backing off after a
// failed attempt (1 s doubling to 10 s), and unschedulable until something changes that could help.
// While none is active, those that back off though something changed are tried early; those whose
// attempt failed for no reason of their own wait to the end, and for a whole second.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>

#include "knarr/clock.h"
#include "server/scheduler/pod_info.h"

namespace knarr::server {

class SchedulingQueue {
 public:
  // `ready` is told that pop() may give something.
  SchedulingQueue(Clock& clock, std::function<void()> ready);

  void add(PodInfoRef pod);     // new, or changed in a way that may make it fit
  void update(PodInfoRef pod);  // the same pod, changed in no such way
  void remove(const std::string& uid);
  bool has(const std::string& uid) const { return entries_.count(uid) != 0; }

  // The next to try; null when none is active. It stays known (in flight) until one of the two
  // below, or remove().
  PodInfoRef pop();
  // Could not be placed. `wakes_on`: ClusterChanges that may help; those that came while it was in
  // flight count.
  void unschedulable(const std::string& uid, unsigned wakes_on);
  // Failed for another reason: after its backoff, or when something changes that helps.
  void retry(const std::string& uid, unsigned wakes_on = 0);
  void placed(const std::string& uid) { remove(uid); }

  void on_change(unsigned change);

  bool has_next() const { return !order_.empty() || !backoff_.empty(); }
  size_t active() const { return order_.size(); }
  size_t size() const { return entries_.size(); }

 private:
  enum class Place { kActive, kBackoff, kUnschedulable, kInFlight };
  struct Entry {
    PodInfoRef pod;
    Place place = Place::kActive;
    int64_t sequence = 0;
    int64_t attempts = 0;
    int64_t backoff_until_ms = 0;
    bool error = false;  // the attempt did not come to a verdict
    unsigned wakes_on = 0;
    unsigned seen = 0;  // changes while in flight
  };
  struct Rank {
    int64_t priority;
    int64_t sequence;
    std::string uid;
    bool operator<(const Rank& other) const {
      if (priority != other.priority) return priority > other.priority;
      return sequence < other.sequence;
    }
  };
  static Rank rank(const Entry& e) { return {e.pod->priority, e.sequence, e.pod->uid()}; }
  using Waiting = std::set<std::pair<int64_t, std::string>>;
  Waiting& waiting(const Entry& entry) { return entry.error ? errors_ : backoff_; }
  void take_out(Entry& entry);
  void activate(Entry& entry);
  void back_off(Entry& entry);
  void tick();
  void arm();

  Clock& clock_;
  std::function<void()> ready_;
  std::unordered_map<std::string, Entry> entries_;
  std::set<Rank> order_;
  Waiting backoff_;
  Waiting errors_;
  int64_t next_sequence_ = 0;
  std::unique_ptr<Timer> timer_;
};

}  // namespace knarr::server
