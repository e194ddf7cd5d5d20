#include "agent/cni/cni_network.h"

#include <algorithm>

#include "base/log.h"

namespace knarr::agent {

using json::Value;

namespace {

constexpr int64_t kFirstRetryMs = 1000;
constexpr int64_t kLastRetryMs = 120'000;
constexpr int64_t kLastStatusRetryMs = 30'000;
constexpr char kOwnNamespace[] = "/proc/self/ns/net";
constexpr char kDetached[] = "the sandbox was detached";
constexpr char kNoConfig[] = "cni plugin not initialized";

}  // namespace

CniNetwork::CniNetwork(base::Loop& loop, CniOptions options)
    : loop_(loop),
      folder_(loop, options.conf_dir, [this] { config_changed(); }),
      files_(options.state_dir),
      not_ready_(kNoConfig),
      status_retry_(loop.timer([this] { ask_status(); })),
      chains_(loop, options.plugins) {
  for (auto& [id, record] : files_.load()) {
    Sandbox& sandbox = sandboxes_[id];
    sandbox.state = record.result.is_null() ? State::kFailed : State::kAttached;
    sandbox.record = std::move(record);
  }
}

CniNetwork::~CniNetwork() = default;

Result<void> CniNetwork::start() {
  TRY(folder_.start());
  if (folder_.current() && !knows_status_and_gc(*folder_.current())) not_ready_.clear();
  ask_status();
  return {};
}

std::string CniNetwork::not_ready() const {
  if (not_ready_.empty()) return {};
  return "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady "
         "message:Network plugin returns error: " +
         not_ready_;
}

void CniNetwork::ask_status() {
  uint64_t number = ++asked_;
  status_retry_->stop();
  if (!folder_.current()) return set_status(kNoConfig);
  if (!knows_status_and_gc(*folder_.current())) return set_status("");
  chains_.status(*folder_.current(), [this, number](const Result<void>& result) {
    if (number != asked_) return;
    set_status(result.ok() ? "" : result.error().message);
    status_retry_ms_ =
        result.ok() ? 0 : std::clamp(status_retry_ms_ * 2, kFirstRetryMs, kLastStatusRetryMs);
    if (!result.ok()) status_retry_->start(status_retry_ms_);
  });
}

void CniNetwork::set_status(std::string why) {
  if (why == not_ready_) return;
  not_ready_ = std::move(why);
  if (!not_ready_.empty()) base::log(base::Level::kWarning, "cni", "not ready: {}", not_ready_);
  if (readiness_) readiness_();
}

// After what is known to be over was asked to be detached: that is told as attached until it is.
void CniNetwork::collect_garbage() {
  if (!folder_.current() || folder_.current()->disable_gc ||
      !knows_status_and_gc(*folder_.current())) {
    return;
  }
  Value attachments = Value::array();
  for (const auto& [id, sandbox] : sandboxes_) {
    attachments.push_back(
        Value::object({{"containerID", id}, {"ifname", sandbox.record.attachment.interface}}));
  }
  collecting_ = true;
  chains_.gc(*folder_.current(), std::move(attachments), [this](const Result<void>& result) {
    if (!result.ok()) base::log(base::Level::kWarning, "cni", "{}", result.error().message);
    collecting_ = false;
    for (Held& held : std::exchange(after_gc_, {})) {
      attach(held.pod, held.sandbox_id, held.netns, std::move(held.done));
    }
  });
}

void CniNetwork::config_changed() {
  if (folder_.current()) {
    base::log(base::Level::kInfo, "cni", "network {} from {} plug-ins", folder_.current()->name,
              folder_.current()->plugins.size());
  }
  ask_status();
  std::vector<std::string> waiting;  // for their next DEL: it may succeed now
  for (const auto& [id, sandbox] : sandboxes_) {
    if (sandbox.state == State::kDeleting && !sandbox.running) waiting.push_back(id);
  }
  for (const std::string& id : waiting) remove(id);
}

// The path names a process: when that has ended its number may be that of one of the machine.
Result<CniRecord> CniNetwork::record_of(const Pod& pod, const std::string& sandbox_id,
                                        const std::string& netns) const {
  if (!folder_.current()) return make_error(Code::kServiceUnavailable, kNoConfig);
  CniRecord record;
  record.config = *folder_.current();
  record.netns_id = netns_identity(netns);
  if (record.netns_id.empty() || record.netns_id == netns_identity(kOwnNamespace)) {
    return make_error(Code::kNotFound, "the sandbox has no network namespace");
  }
  record.attachment.sandbox_id = sandbox_id;
  record.attachment.netns = netns;
  record.attachment.args = cni_args(pod, sandbox_id);
  TRY_ASSIGN(record.attachment.capabilities, cni_capabilities(pod));
  return record;
}

void CniNetwork::attach(const PodRef& pod, const std::string& sandbox_id, const std::string& netns,
                        Callback<std::vector<std::string>> done) {
  if (collecting_) {  // what is attached meanwhile was not told
    after_gc_.push_back({pod, sandbox_id, netns, std::move(done)});
    return;
  }
  auto it = sandboxes_.find(sandbox_id);
  if (it != sandboxes_.end() && it->second.state == State::kAttached) {
    return done(cni_addresses(it->second.record.result, it->second.record.attachment.interface));
  }
  if (it != sandboxes_.end()) {
    // A process before this one was ended in the middle: what is there goes first.
    return detach(sandbox_id, [this, pod, sandbox_id, netns, done](const Result<void>& detached) {
      if (!detached.ok()) return done(detached.error());
      attach(pod, sandbox_id, netns, done);
    });
  }
  auto record = record_of(*pod, sandbox_id, netns);
  if (!record.ok()) return done(record.error());
  if (auto kept = files_.keep(*record); !kept.ok()) return done(kept.error());
  sandboxes_[sandbox_id].record = *std::move(record);
  add(sandbox_id, std::move(done));
}

void CniNetwork::add(const std::string& sandbox_id, Callback<std::vector<std::string>> done) {
  Sandbox& sandbox = sandboxes_[sandbox_id];
  sandbox.state = State::kAdding;
  sandbox.running = true;
  chains_.add(sandbox.record.config, sandbox.record.attachment,
              [this, sandbox_id, done = std::move(done)](Result<Value> result) {
                Sandbox& sandbox = sandboxes_.at(sandbox_id);
                sandbox.running = false;
                auto addresses = added(sandbox, std::move(result));
                sandbox.state = addresses.ok() ? State::kAttached : State::kFailed;
                bool unwanted = sandbox.unwanted, failed = !addresses.ok();
                done(std::move(addresses));
                if (unwanted) remove(sandbox_id);
                if (failed) ask_status();
              });
}

Result<std::vector<std::string>> CniNetwork::added(Sandbox& sandbox, Result<Value> result) {
  if (!result.ok()) return result.error();
  sandbox.record.result = *std::move(result);
  TRY_ASSIGN(auto addresses,
             cni_addresses(sandbox.record.result, sandbox.record.attachment.interface));
  TRY(files_.keep(sandbox.record));
  if (sandbox.unwanted) return make_error(Code::kCanceled, kDetached);
  return addresses;
}

void CniNetwork::detach(const std::string& sandbox_id, Callback<void> done) {
  auto held = std::find_if(after_gc_.begin(), after_gc_.end(),
                           [&](const Held& h) { return h.sandbox_id == sandbox_id; });
  if (held != after_gc_.end()) {
    auto unwanted = std::move(held->done);
    after_gc_.erase(held);
    unwanted(make_error(Code::kCanceled, kDetached));
  }
  auto it = sandboxes_.find(sandbox_id);
  if (it == sandboxes_.end()) return done({});
  it->second.unwanted = true;
  it->second.waiting.push_back(std::move(done));
  if (!it->second.running) remove(sandbox_id);
}

void CniNetwork::remove(const std::string& sandbox_id) {
  auto it = sandboxes_.find(sandbox_id);
  if (it == sandboxes_.end() || it->second.running) return;
  Sandbox& sandbox = it->second;
  sandbox.state = State::kDeleting;
  if (sandbox.retry) sandbox.retry->stop();
  const CniConfig* config = &sandbox.record.config;
  if (config->plugins.empty()) {  // not known any more: most likely it is that of today
    if (!folder_.current())
      return removed(sandbox_id, make_error(Code::kServiceUnavailable, kNoConfig));
    config = &*folder_.current();
  }
  sandbox.running = true;
  CniAttachment attachment = sandbox.record.attachment;
  bool there = !sandbox.record.netns_id.empty() &&
               netns_identity(attachment.netns) == sandbox.record.netns_id;
  if (!there) attachment.netns.clear();
  chains_.del(*config, attachment, sandbox.record.result,
              [this, sandbox_id](const Result<void>& result) { removed(sandbox_id, result); });
}

void CniNetwork::removed(const std::string& sandbox_id, const Result<void>& result) {
  Sandbox& sandbox = sandboxes_.at(sandbox_id);
  sandbox.running = false;
  auto waiting = std::exchange(sandbox.waiting, {});
  if (result.ok()) {
    files_.forget(sandbox_id);
    sandboxes_.erase(sandbox_id);
  } else {
    base::log(base::Level::kWarning, "cni", "sandbox {}: {}", sandbox_id, result.error().message);
    sandbox.retry_ms = std::clamp(sandbox.retry_ms * 2, kFirstRetryMs, kLastRetryMs);
    if (!sandbox.retry) sandbox.retry = loop_.timer([this, sandbox_id] { remove(sandbox_id); });
    sandbox.retry->start(sandbox.retry_ms);
  }
  for (const Callback<void>& done : waiting) done(result);
}

void CniNetwork::keep_only(const std::vector<std::string>& sandbox_ids) {
  std::vector<std::string> gone;
  for (const auto& [id, sandbox] : sandboxes_) {
    if (std::find(sandbox_ids.begin(), sandbox_ids.end(), id) == sandbox_ids.end()) {
      gone.push_back(id);
    }
  }
  for (const std::string& id : gone) detach(id, [](const Result<void>&) {});
  collect_garbage();
}

}  // namespace knarr::agent
