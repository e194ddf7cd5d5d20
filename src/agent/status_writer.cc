#include "agent/status_writer.h"

#include <algorithm>

#include "api/view/meta.h"
#include "base/log.h"

namespace knarr::agent {

using json::Value;

namespace {

constexpr int64_t kFirstDelayMs = 200;
constexpr int64_t kMostDelayMs = 30 * 1000;

// A patch that makes `before` into `after`, members that are gone set to null. Lists are replaced.
Value difference(const Value& before, const Value& after) {
  Value patch = Value::object();
  for (auto [key, value] : after.members()) {
    if (!(before[key] == value)) patch.set(key, value);
  }
  for (auto [key, value] : before.members()) {
    if (!after.has(key)) patch.set(key, nullptr);
  }
  return patch;
}

// Whether two statuses differ in more than the moment they were made.
bool same(const Value& a, const Value& b) { return a == b; }

// Whether every condition of `wanted` has the same status there.
bool same_conditions(const Value& wanted, const Value& there) {
  for (const Value& c : wanted["conditions"].elements()) {
    const Value& other = api::condition(there["conditions"], c["type"].as_string());
    if (!(other["status"] == c["status"])) return false;
  }
  return true;
}

}  // namespace

StatusWriter::StatusWriter(client::Client& client, Clock& clock) : client_(client), clock_(clock) {}

StatusWriter::~StatusWriter() { *alive_ = false; }

// A condition that was told before keeps the moment it was told with, also when the object with it
// has not come back yet.
void keep_transition_times(const Value& before, Value& after) {
  if (!after.has("conditions")) return;
  for (Value& c : after.member("conditions").elements()) {
    for (const Value& old : before["conditions"].elements()) {
      if (old["type"] == c["type"] && old["status"] == c["status"]) {
        c.set("lastTransitionTime", old["lastTransitionTime"]);
      }
    }
  }
}

void StatusWriter::set(const PodRef& pod, Value status) {
  Entry& entry = entries_[pod->uid()];
  entry.pod = pod;
  bool first = entry.wanted.is_null();
  const Value& before = first ? pod->status() : entry.wanted;
  keep_transition_times(before, status);
  if (same(before, status)) {
    entry.wanted = std::move(status);
    // What a failed write wanted is not there yet.
    if (first) entry.written = entry.wanted;
    return;
  }
  entry.wanted = std::move(status);
  step(pod->uid());
}

void StatusWriter::observe(const PodRef& pod) {
  auto it = entries_.find(pod->uid());
  if (it == entries_.end()) return;
  Entry& entry = it->second;
  bool settled = !entry.busy && !entry.written.is_null() && same(entry.wanted, entry.written);
  if (!settled || pod->object()->revision <= entry.revision) return;
  if (same_conditions(entry.wanted, pod->status())) return;
  entry.pod = pod;
  entry.written = pod->status();
  step(pod->uid());
}

void StatusWriter::finish(const PodRef& pod) {
  Entry& entry = entries_[pod->uid()];
  entry.pod = pod;
  entry.finish = true;
  step(pod->uid());
}

void StatusWriter::forget(const std::string& uid) { entries_.erase(uid); }

const Value* StatusWriter::last(const std::string& uid) const {
  auto it = entries_.find(uid);
  return it == entries_.end() || it->second.wanted.is_null() ? nullptr : &it->second.wanted;
}

void StatusWriter::step(const std::string& uid) {
  auto it = entries_.find(uid);
  if (it == entries_.end() || it->second.busy) return;
  Entry& entry = it->second;
  if (entry.retry && entry.retry->active()) return;
  const Pod& pod = *entry.pod;
  client::Request request;
  request.target = {"", "v1", "pods", pod.ns(), pod.name(), ""};
  bool has_status = !entry.wanted.is_null() && !same(entry.wanted, entry.written);
  if (has_status) {
    // Against what the API is known to have, so that what others wrote stays.
    Value patch = difference(entry.written.is_null() ? pod.status() : entry.written, entry.wanted);
    request.verb = client::Verb::kPatch;
    request.patch_type = client::PatchType::kMerge;
    request.target.subresource = "status";
    request.body = json::write(
        Value::object({{"metadata", Value::object({{"uid", uid}})}, {"status", std::move(patch)}}));
  } else if (entry.finish && !entry.finish_sent) {
    request.verb = client::Verb::kDelete;
    request.body = json::write(Value::object({{"apiVersion", "v1"},
                                              {"kind", "DeleteOptions"},
                                              {"gracePeriodSeconds", 0},
                                              {"preconditions", Value::object({{"uid", uid}})}}));
    entry.finish_sent = true;
  } else {
    return;
  }
  entry.busy = true;
  std::weak_ptr<bool> alive = alive_;
  Value sent = has_status ? entry.wanted : Value();
  client_.call(std::move(request), [this, alive, uid, sent](Result<ObjectRef> reply) {
    if (!alive.expired()) answered(uid, sent, reply);
  });
}

void StatusWriter::answered(const std::string& uid, const Value& sent,
                            const Result<ObjectRef>& reply) {
  auto it = entries_.find(uid);
  if (it == entries_.end()) return;
  Entry& entry = it->second;
  entry.busy = false;
  if (reply.ok()) {
    if (!sent.is_null()) {
      entry.written = sent;
      entry.revision = (*reply)->revision;
    }
    entry.delay_ms = 0;
    step(uid);
    return;
  }
  // Gone, or another pod of the same name: the watch will tell.
  if (reply.error().code == Code::kNotFound || reply.error().code == Code::kConflict) {
    if (!sent.is_null()) entry.written = sent;
    return;
  }
  failed(uid, entry, reply.error());
}

void StatusWriter::failed(const std::string& uid, Entry& entry, const Error& error) {
  entry.finish_sent = false;
  entry.delay_ms = entry.delay_ms == 0 ? kFirstDelayMs : std::min(entry.delay_ms * 2, kMostDelayMs);
  base::log(base::Level::kWarning, "agent", "status of {}: {}", entry.pod->full_name(),
            error.message);
  entry.retry = clock_.timer([this, uid] { step(uid); });
  entry.retry->start(entry.delay_ms);
}

}  // namespace knarr::agent
