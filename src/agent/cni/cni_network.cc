#include "agent/cni/cni_network.h"

#include <algorithm>

#include "base/log.h"

namespace knarr::agent {

using json::Value;

namespace {

constexpr int64_t kFirstRetryMs = 1000;
constexpr int64_t kLastRetryMs = 120'000;
constexpr char kOwnNamespace[] = "/proc/self/ns/net";
constexpr char kNoConfig[] = "cni plugin not initialized";

}  // namespace

CniNetwork::CniNetwork(base::Loop& loop, CniOptions options)
    : loop_(loop),
      folder_(loop, options.conf_dir, [this] { config_changed(); }),
      files_(options.state_dir),
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
  was_ready_ = folder_.current().has_value();
  return {};
}

std::string CniNetwork::not_ready() const {
  if (folder_.current()) return {};
  return std::string(
             "container runtime network not ready: NetworkReady=false "
             "reason:NetworkPluginNotReady message:Network plugin returns error: ") +
         kNoConfig;
}

void CniNetwork::config_changed() {
  bool ready = folder_.current().has_value();
  if (ready) {
    base::log(base::Level::kInfo, "cni", "network {} from {} plug-ins", folder_.current()->name,
              folder_.current()->plugins.size());
  }
  if (std::exchange(was_ready_, ready) != ready && readiness_) readiness_();
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
                bool unwanted = sandbox.unwanted;
                done(std::move(addresses));
                if (unwanted) remove(sandbox_id);
              });
}

Result<std::vector<std::string>> CniNetwork::added(Sandbox& sandbox, Result<Value> result) {
  if (!result.ok()) return result.error();
  sandbox.record.result = *std::move(result);
  TRY_ASSIGN(auto addresses,
             cni_addresses(sandbox.record.result, sandbox.record.attachment.interface));
  TRY(files_.keep(sandbox.record));
  if (sandbox.unwanted) return make_error(Code::kCanceled, "the sandbox was detached");
  return addresses;
}

void CniNetwork::detach(const std::string& sandbox_id, Callback<void> done) {
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
}

}  // namespace knarr::agent
