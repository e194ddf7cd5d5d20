#include "server/manifests/manifest_applier.h"

#include <algorithm>

#include "base/format.h"
#include "base/log.h"

namespace knarr::server {

namespace {

constexpr int64_t kFirstRetry_ms = 1000;
constexpr int64_t kLastRetry_ms = 60000;
constexpr const char* kAllFiles = "";  // as the file of what concerns no single one: deletes

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
  TRY(record_.load(folder_path_ + ".json"));
  TRY(folder_.watch());
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
    failed(kAllFiles, saved.error().message);
    return finish_pass();
  }
  next_step();
}

void ManifestApplier::plan() {
  wanted_.clear();
  failed_.clear();
  steps_.clear();
  Result<std::map<std::string, ManifestFile>> files = read_manifest_folder(folder_path_);
  if (!files.ok()) return failed(kAllFiles, files.error().message);
  files_ = *std::move(files);
  for (const auto& [name, file] : files_) {
    Result<std::vector<Manifest>> manifests = read_manifests(file.text);
    if (!manifests.ok()) {
      failed(name, manifests.error().message);
      continue;
    }
    std::vector<ManifestRef>& refs = wanted_[name];
    for (const Manifest& m : *manifests) refs.push_back(m.ref);
    if (file.skipped) continue;
    if (auto it = applied_.find(name); it != applied_.end() && it->second == file.text) continue;
    record_.add(name, refs);
    for (Manifest& m : *manifests) steps_.push_back({name, m.ref, std::move(m.object)});
  }
  // What a file that cannot be read has is not known: it may be anything.
  if (failed_.empty()) plan_deletes();
}

// What was made for a file, and no file has now. What a file that is skipped had stays.
void ManifestApplier::plan_deletes() {
  for (const auto& [name, refs] : record_.files()) {
    if (auto file = files_.find(name); file != files_.end() && file->second.skipped) continue;
    for (const ManifestRef& ref : refs) {
      bool kept = std::any_of(wanted_.begin(), wanted_.end(),
                              [&](const auto& file) { return contains(file.second, ref); });
      if (!kept) steps_.push_back({kAllFiles, ref, {}});
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
    if (failed_.contains(name) || files_[name].skipped) continue;
    applied_[name] = files_[name].text;
    told_.erase(name);
  }
  // As long as something is left to do, what was made before is not forgotten.
  if (failed_.empty()) {
    told_.clear();
    forget_leftovers();
    if (auto saved = record_.save(); !saved.ok()) failed(kAllFiles, saved.error().message);
  }
  running_ = false;
  if (again_) return pass();
  failures_ = failed_.empty() ? 0 : failures_ + 1;
  if (failures_ > 0) {
    retry_->start(std::min(kFirstRetry_ms << std::min(failures_ - 1, 10), kLastRetry_ms));
  }
}

void ManifestApplier::forget_leftovers() {
  std::vector<std::string> gone;
  for (const auto& [name, refs] : record_.files()) {
    if (!files_.contains(name)) gone.push_back(name);
  }
  for (const std::string& name : gone) {
    record_.set(name, {});
    applied_.erase(name);
  }
  for (const auto& [name, refs] : wanted_) {
    if (!files_[name].skipped) record_.set(name, refs);
  }
}

}  // namespace knarr::server
