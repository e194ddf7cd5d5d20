#include "runtime/image/pull.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "base/format.h"
#include "runtime/image/registry.h"

namespace knarr::runtime {

namespace {

constexpr int64_t kMaxConfigBytes = 8 << 20;
constexpr int kMaxIndexDepth = 4;

bool may_pass(Code code) {
  return code == Code::kServiceUnavailable || code == Code::kTooManyRequests ||
         code == Code::kTimeout;
}

// Where an image was found, and with what right: enough for any thread to fetch the rest.
struct Source {
  Endpoint endpoint;
  RegistryAuth auth;
  std::string authorization;
};

// Downloads of one pull, filled in by the threads that make them.
struct LayerResults {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::optional<Result<void>>> done;  // by layer; guarded by mutex
  size_t running = 0;                             // guarded by mutex
};

class PullRun {
 public:
  explicit PullRun(PullJob& job)
      : job_(job), leases_(std::make_shared<LeaseSet>(job.content.leases())) {}

  Result<PulledImage> run();

 private:
  Result<FetchedManifest> resolve();
  Result<FetchedManifest> resolve_with(const RegistryAuth& auth);
  std::optional<Image> already_present(const std::string& digest) const;
  Result<Manifest> find_manifest(FetchedManifest top);
  Result<std::string> fetch_manifest(const FetchedManifest& known);
  Result<void> fetch_blob(const std::string& digest, int64_t size_bytes);
  Result<void> fetch_layers(const Image& image);
  Result<void> unpack_layers(const Image& image, LayerResults& results);
  void set_names(Image& image, const std::string& digest) const;

  PullJob& job_;
  std::shared_ptr<LeaseSet> leases_;
  Source source_;
  std::string manifest_digest_;  // of the manifest that was chosen
};

template <typename T>
Result<T> with_retries(const PullJob& job, const std::function<Result<T>()>& step) {
  int64_t wait_ms = job.backoff_ms;
  for (int attempt = 1;; ++attempt) {
    Result<T> result = step();
    if (result.ok() || attempt >= job.attempts || !may_pass(result.error().code)) return result;
    if (job.cancel->wait_ms(wait_ms)) return make_error(Code::kCanceled, "context canceled");
    wait_ms *= 2;
  }
}

Result<PulledImage> PullRun::run() {
  Result<FetchedManifest> top = resolve();
  if (!top.ok()) {
    return make_error(top.error().code, fmt::format("failed to resolve reference \"{}\": {}",
                                                    job_.reference.text(), top.error().message));
  }
  std::string digest = top->digest;
  if (std::optional<Image> image = already_present(digest)) {
    set_names(*image, digest);
    return PulledImage{std::move(*image), leases_};
  }
  TRY_ASSIGN(Manifest manifest, find_manifest(std::move(*top)));
  if (manifest.config.size_bytes > kMaxConfigBytes) {
    return make_error(Code::kInvalid, "image config is too large");
  }
  leases_->take(manifest.config.digest);
  TRY(fetch_blob(manifest.config.digest, manifest.config.size_bytes));
  TRY_ASSIGN(std::string config, job_.content.read(manifest.config.digest, kMaxConfigBytes));
  std::vector<ImageLayer> layers;
  for (const Descriptor& d : manifest.layers) layers.push_back({d.digest, "", "", d.size_bytes});
  TRY_ASSIGN(Image image, image_from_config(config, std::move(layers)));
  image.manifest_digest = manifest_digest_;
  set_names(image, digest);
  TRY(fetch_layers(image));
  return PulledImage{std::move(image), leases_};
}

// With each of the credentials, until one is let in.
Result<FetchedManifest> PullRun::resolve() {
  std::vector<RegistryAuth> auths = job_.auths;
  if (auths.empty()) auths.emplace_back();
  Result<FetchedManifest> found = make_error(Code::kNotFound, "");
  for (const RegistryAuth& auth : auths) {
    found = resolve_with(auth);
    if (found.ok()) return found;
    Code code = found.error().code;
    if (code != Code::kUnauthorized && code != Code::kForbidden) return found;
  }
  return found;
}

Result<FetchedManifest> PullRun::resolve_with(const RegistryAuth& auth) {
  const Reference& ref = job_.reference;
  std::optional<Error> first;
  for (const Endpoint& endpoint : job_.endpoints) {
    // Credentials of the pod are for the registry it names, not for mirrors of it.
    bool given = !auth.username.empty() || !auth.identity_token.empty();
    const RegistryAuth& use = given && endpoint.mirrored.empty() ? auth : endpoint.config.auth;
    RegistryClient client(endpoint, use, *job_.cancel);
    Result<FetchedManifest> found = client.resolve(ref.digest.empty() ? ref.tag : ref.digest);
    if (found.ok()) {
      source_ = {endpoint, use, client.authorization()};
      return found;
    }
    if (found.error().code == Code::kCanceled) return found;
    if (found.error().code != Code::kNotFound && !first) first = found.error();
  }
  if (first) return *first;
  return make_error(Code::kNotFound, ref.text() + ": not found");
}

std::optional<Image> PullRun::already_present(const std::string& digest) const {
  for (const ImageRef& image : job_.present) {
    bool same = image->manifest_digest == digest ||
                std::any_of(image->digests.begin(), image->digests.end(),
                            [&](const std::string& d) { return d.ends_with("@" + digest); });
    if (!same || image->config.architecture != job_.platform.architecture) continue;
    // It may have been removed meanwhile: leased first, then looked at.
    leases_->take(image->id);
    leases_->take(image->manifest_digest);
    bool whole = job_.content.has(image->id) && job_.content.has(image->manifest_digest);
    for (const ImageLayer& layer : image->layers) {
      leases_->take(layer.digest);
      leases_->take(LayerStore::name(layer.chain_id));
      whole = whole && job_.content.has(layer.digest) &&
              (!job_.layers.overlay() || job_.layers.has(layer.chain_id));
    }
    if (whole) return *image;
  }
  return std::nullopt;
}

Result<std::string> PullRun::fetch_manifest(const FetchedManifest& known) {
  leases_->take(known.digest);
  if (job_.content.has(known.digest)) return job_.content.read(known.digest, kMaxConfigBytes);
  if (!known.body.empty()) return known.body;
  return with_retries<std::string>(job_, [&] {
    RegistryClient client(source_.endpoint, source_.auth, *job_.cancel, source_.authorization);
    return client.manifest(known.digest);
  });
}

Result<Manifest> PullRun::find_manifest(FetchedManifest top) {
  FetchedManifest at = std::move(top);
  for (int depth = 0; depth < kMaxIndexDepth; ++depth) {
    TRY_ASSIGN(std::string text, fetch_manifest(at));
    TRY_ASSIGN(Manifest manifest, parse_manifest(text));
    if (!manifest.is_index) {
      TRY(job_.content.put(at.digest, text));
      manifest_digest_ = at.digest;
      return manifest;
    }
    const Descriptor* chosen = choose_platform(manifest.manifests, job_.platform);
    if (chosen == nullptr) {
      return make_error(Code::kNotFound,
                        "no match for platform in manifest " + at.digest + ": not found");
    }
    at = {chosen->digest, ""};
  }
  return make_error(Code::kInvalid, "image index is nested too deeply");
}

Result<void> PullRun::fetch_blob(const std::string& digest, int64_t size_bytes) {
  return job_.downloads.ensure(digest, *job_.cancel, [&]() -> Result<void> {
    Result<void> result = with_retries<void>(job_, [&]() -> Result<void> {
      TRY_ASSIGN(Ingest ingest, job_.content.ingest(digest));
      RegistryClient client(source_.endpoint, source_.auth, *job_.cancel, source_.authorization);
      TRY(client.blob(digest, size_bytes, ingest));
      TRY(ingest.commit());
      return {};
    });
    if (result.ok()) return result;
    return make_error(result.error().code, "failed to copy: " + result.error().message);
  });
}

Result<void> PullRun::fetch_layers(const Image& image) {
  LayerResults results;
  results.done.resize(image.layers.size());
  for (const ImageLayer& layer : image.layers) {
    leases_->take(layer.digest);
    leases_->take(LayerStore::name(layer.chain_id));
  }
  results.running = image.layers.size();
  std::atomic<bool> abandoned = false;
  for (size_t i = 0; i < image.layers.size(); ++i) {
    job_.download_threads.submit([this, &results, &abandoned, &image, i] {
      const ImageLayer& layer = image.layers[i];
      Result<void> fetched = abandoned ? Result<void>(make_error(Code::kCanceled, ""))
                                       : fetch_blob(layer.digest, layer.size_bytes);
      std::lock_guard lock(results.mutex);
      results.done[i] = std::move(fetched);
      --results.running;
      results.changed.notify_all();
    });
  }
  Result<void> result = unpack_layers(image, results);
  // Nothing of this pull runs on when it has answered.
  abandoned = true;
  if (!result.ok()) job_.cancel->cancel();
  std::unique_lock lock(results.mutex);
  results.changed.wait(lock, [&] { return results.running == 0; });
  return result;
}

Result<void> PullRun::unpack_layers(const Image& image, LayerResults& results) {
  for (size_t i = 0; i < image.layers.size(); ++i) {
    Result<void> fetched;
    {
      std::unique_lock lock(results.mutex);
      results.changed.wait(lock, [&] { return results.done[i].has_value(); });
      fetched = *results.done[i];
    }
    TRY(fetched);
    if (job_.cancel->cancelled()) return make_error(Code::kCanceled, "context canceled");
    Result<void> unpacked = job_.layers.unpack(image.layers, i);
    if (!unpacked.ok()) {
      return make_error(unpacked.error().code,
                        fmt::format("failed to extract layer {}: {}", image.layers[i].diff_id,
                                    unpacked.error().message));
    }
  }
  return {};
}

void PullRun::set_names(Image& image, const std::string& digest) const {
  const Reference& ref = job_.reference;
  image.digests.push_back(ref.name() + "@" + digest);
  if (!ref.tag.empty()) image.tags.push_back(ref.name() + ":" + ref.tag);
}

}  // namespace

Result<PulledImage> run_pull(PullJob& job) { return PullRun(job).run(); }

}  // namespace knarr::runtime
