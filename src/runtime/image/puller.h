// Pulls images from registries (distribution's v2 API). One pull of a reference with the same
// credentials at a time: whoever asks for the same joins it. Layers download in parallel, a layer
// once however many pulls want it, and unpack in order as they arrive.
//
// Used on the loop thread. Pulls block on threads of their own.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "knarr/runtime.h"
#include "runtime/image/image_store.h"
#include "runtime/image/registries.h"
#include "runtime/image/work_pool.h"

namespace knarr::runtime {

class Downloads;
class CancelToken;

struct PullerOptions {
  Registries registries;
  std::string os = "linux";
  std::string architecture;  // "amd64", "arm64"; empty: this machine's
  std::string variant;       // "v8"; empty: the architecture's usual one
  int max_pulls = 4;
  int max_downloads = 4;  // of all pulls together
  int attempts = 4;       // of one request that fails for reasons that may pass
  int backoff_ms = 500;   // before the second attempt; doubles
};

class Puller {
 public:
  Puller(base::Loop& loop, ImageStore& store, PullerOptions options);
  ~Puller();  // cancels what is running, and waits for its threads

  // `ref` as the user wrote it. Answers the image, registered and unpacked. The error's message is
  // what the kubelet shows for ErrImagePull. A reference that is none is answered before the call
  // returns.
  void pull(const std::string& ref, std::vector<RegistryAuth> auths, Callback<ImageRef> done);
  // Its callbacks get kCanceled. What was downloaded is kept for the next try.
  void cancel(const std::string& ref);
  size_t active() const { return pulls_.size(); }

 private:
  struct Pull {
    std::shared_ptr<CancelToken> cancel;
    std::vector<Callback<ImageRef>> waiting;
  };
  void finish(const std::string& key, Result<ImageRef> image);

  ImageStore& store_;
  PullerOptions options_;
  std::map<std::string, Pull> pulls_;  // by full reference and credentials
  std::unique_ptr<WorkPool> download_threads_;
  std::unique_ptr<Downloads> downloads_;
  std::unique_ptr<WorkPool> pull_threads_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // late answers look at it
};

}  // namespace knarr::runtime
