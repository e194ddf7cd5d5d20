#include "server/manifests/manifest_applier.h"

#include <algorithm>

#include "base/format.h"
#include "base/log.h"

namespace knarr::server {

namespace {

constexpr int64_t kFirstRetry_ms = 1000;
constexpr int64_t kLastRetry_ms = 60000;
constexpr const char* kLeftOver = "";  // as the "file" of deletes

bool contains(const std::vector<ManifestRef>& refs, const ManifestRef& ref) {
  return std::any_of(refs.begin(), refs.end(),
                     [&](const ManifestRef& r) { return r.same_object(ref); });
}

}  // namespace

ManifestApplier::ManifestApplier(base::Loop& loop, client::Client& client, std::string folder)
    : loop_(loop),
      client_(client),
      folder_path_(folder),
      folder_(loop, std::move(folder), [this] { pass(); }),
      retry_(loop.timer([this] { pass(); })) {}

Result<void> ManifestApplier::start() {
  TRY(folder_.watch());
  TRY(record_.load(folder_path_ + ".json"));
  pass();
  return {};
}

void ManifestApplier::pass() {
  again_ = running_;
  if (running_) return;
  running_ = true;
  retry_->stop();
  plan();
  Result<void> saved = record_.save();
  if (!saved.ok()) {
    failed(kLeftOver, saved.error().message);
    return finish_pass();
  }
  next_step();
}

void ManifestApplier::plan() {
  files_ = read_manifest_folder(folder_path_);
  wanted_.clear();
  failed_.clear();
  steps_.clear();
  for (const auto& [name, file] : files_) {
    if (file.skipped) continue;
    Result<std::vector<Manifest>> manifests = read_manifests(file.text);
    if (!manifests.ok()) {
      failed(name, manifests.error().message);
      continue;
    }
    std::vector<ManifestRef>& refs = wanted_[name];
    for (const Manifest& m : *manifests) refs.push_back(m.ref);
    if (auto it = applied_.find(name); it != applied_.end() && it->second == file.text) continue;
    record_.add(name, refs);
    for (Manifest& m : *manifests) steps_.push_back({name, m.ref, std::move(m.object)});
  }
  plan_deletes();
}

// What was made for a file, and no file has now. Of files that are skipped, or cannot be read,
// nothing is known: their objects stay.
void ManifestApplier::plan_deletes() {
  for (const auto& [name, refs] : record_.files()) {
    if (files_.contains(name) && !wanted_.contains(name)) continue;
    for (const ManifestRef& ref : refs) {
      bool kept = std::any_of(wanted_.begin(), wanted_.end(),
                              [&](const auto& file) { return contains(file.second, ref); });
      if (!kept) steps_.push_back({kLeftOver, ref, {}});
    }
  }
}

void ManifestApplier::next_step() {
  if (steps_.empty()) return finish_pass();
  auto step = std::make_shared<Step>(std::move(steps_.front()));
  steps_.pop_front();
  client::Request request;
  request.target = step->ref.target();
  if (step->file.empty()) {
    request.verb = client::Verb::kDelete;
    request.body = R"({"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"Background"})";
  } else {
    request.verb = client::Verb::kPatch;
    request.patch_type = client::PatchType::kApply;
    request.query = "fieldManager=knarr-manifests&force=true";
    request.body = json::write(step->object);
  }
  client_.call(std::move(request),
               [this, step, alive = std::weak_ptr<bool>(alive_)](Result<ObjectRef> answer) {
                 if (alive.expired()) return;
                 done(*step, answer);
                 loop_.defer([this, alive] {
                   if (!alive.expired()) next_step();
                 });
               });
}

void ManifestApplier::done(const Step& step, const Result<ObjectRef>& answer) {
  if (answer.ok()) {
    base::log(base::Level::kInfo, "manifests", "{} {}", step.file.empty() ? "deleted" : "applied",
              step.ref.text());
  } else if (!step.file.empty() || answer.error().code != Code::kNotFound) {
    failed(step.file, fmt::format("{}: {}", step.ref.text(), answer.error().message));
  }
}

// Told once, however often it is tried.
void ManifestApplier::failed(const std::string& file, const std::string& why) {
  failed_.insert(file);
  if (std::exchange(told_[file], why) == why) return;
  base::log(base::Level::kError, "manifests", "{}{}{}", file, file.empty() ? "" : ": ", why);
}

void ManifestApplier::finish_pass() {
  for (const auto& [name, refs] : wanted_) {
    if (failed_.contains(name)) continue;
    applied_[name] = files_[name].text;
    told_.erase(name);
  }
  if (!failed_.contains(kLeftOver)) {
    told_.erase(kLeftOver);
    std::vector<std::string> gone;
    for (const auto& [name, refs] : record_.files()) {
      if (!files_.contains(name)) gone.push_back(name);
    }
    for (const std::string& name : gone) {
      record_.set(name, {});
      applied_.erase(name);
    }
    for (const auto& [name, refs] : wanted_) record_.set(name, refs);
    if (auto saved = record_.save(); !saved.ok()) failed(kLeftOver, saved.error().message);
  }
  running_ = false;
  if (again_) return pass();
  failures_ = failed_.empty() ? 0 : failures_ + 1;
  if (failures_ > 0) {
    retry_->start(std::min(kFirstRetry_ms << std::min(failures_ - 1, 10), kLastRetry_ms));
  }
}

}  // namespace knarr::server
