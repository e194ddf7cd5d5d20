#include "runtime/image/puller.h"

#include <algorithm>
#include <optional>

#include "base/format.h"
#include "base/log.h"
#include "runtime/image/cancel.h"
#include "runtime/image/downloads.h"
#include "runtime/image/manifest.h"
#include "runtime/image/pull.h"
#include "runtime/image/reference.h"

namespace knarr::runtime {

namespace {

// As gRPC words an error of the runtime for the kubelet: the code stands there unless it is
// unknown.
Error pull_error(const Reference& reference, Error error) {
  const char* prefix = "";
  if (error.code == Code::kNotFound) prefix = "rpc error: code = NotFound desc = ";
  if (error.code == Code::kCanceled) prefix = "rpc error: code = Canceled desc = ";
  error.message = fmt::format("{}failed to pull and unpack image \"{}\": {}", prefix,
                              reference.text(), error.message);
  return error;
}

// Who asks with other credentials must be let in by himself.
std::string key_of(const Reference& reference, const std::vector<RegistryAuth>& auths) {
  std::string key = reference.text();
  for (const RegistryAuth& auth : auths) {
    for (const std::string& part : {auth.username, auth.password, auth.identity_token}) {
      key += fmt::format("\n{}:{}", part.size(), part);
    }
  }
  return key;
}

}  // namespace

Puller::Puller(base::Loop& loop, ImageStore& store, PullerOptions options)
    : store_(store),
      options_(std::move(options)),
      download_threads_(std::make_unique<WorkPool>(loop, options_.max_downloads)),
      downloads_(std::make_unique<Downloads>(store.content())),
      pull_threads_(std::make_unique<WorkPool>(loop, options_.max_pulls)) {}

Puller::~Puller() {
  *alive_ = false;
  for (auto& [key, pull] : pulls_) pull.cancel->cancel();
  pull_threads_.reset();  // a pull waits for its downloads: they must still run
  download_threads_.reset();
}

void Puller::pull(const std::string& ref, std::vector<RegistryAuth> auths,
                  Callback<ImageRef> done) {
  Result<Reference> parsed = parse_image(ref);
  if (!parsed.ok()) {
    return done(make_error(Code::kInvalid, fmt::format("failed to parse image reference \"{}\": {}",
                                                       ref, parsed.error().message)));
  }
  Reference reference = std::move(*parsed);
  std::string key = key_of(reference, auths);
  Pull& pull = pulls_[key];
  pull.waiting.push_back(std::move(done));
  if (pull.cancel != nullptr) return;
  pull.cancel = std::make_shared<CancelToken>();

  auto job = std::make_shared<PullJob>(
      PullJob{reference, std::move(auths), endpoints_for(options_.registries, reference),
              Platform::host(), store_.list(), store_.content(), store_.layers(), *downloads_,
              *download_threads_, pull.cancel, options_.attempts, options_.backoff_ms});
  if (!options_.architecture.empty()) {
    job->platform = {options_.os, options_.architecture, options_.variant};
  }
  pull_threads_->run<PulledImage>(
      [job] { return run_pull(*job); },
      [this, key, reference](Result<PulledImage> pulled) {
        if (!pulled.ok()) return finish(key, pull_error(reference, pulled.error()));
        auto leases = pulled->leases;  // until the record is written
        store_.add(std::move(pulled->image),
                   [this, alive = alive_, key, leases](Result<ImageRef> added) {
                     if (*alive) finish(key, std::move(added));
                   });
      });
}

void Puller::finish(const std::string& key, Result<ImageRef> image) {
  auto node = pulls_.extract(key);
  CHECK(!node.empty());
  for (Callback<ImageRef>& done : node.mapped().waiting) done(image);
}

void Puller::cancel(const std::string& ref) {
  Result<Reference> parsed = parse_image(ref);
  if (!parsed.ok()) return;
  std::string text = parsed->text();
  for (auto it = pulls_.lower_bound(text); it != pulls_.end(); ++it) {
    if (it->first != text && !it->first.starts_with(text + "\n")) break;
    it->second.cancel->cancel();
  }
}

}  // namespace knarr::runtime
