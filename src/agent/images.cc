#include "agent/images.h"

#include <algorithm>

#include "agent/backoff.h"
#include "agent/environment.h"
#include "base/format.h"
#include "runtime/image/docker_config.h"

namespace knarr::agent {

using json::Value;

namespace {

constexpr int64_t kFirstDelayMs = 10 * 1000;
constexpr int64_t kMostDelayMs = 300 * 1000;

std::string seconds_text(int64_t ms) {
  return ms < 1000 ? std::to_string(ms) + "ms" : fmt::format("{}.{:03}s", ms / 1000, ms % 1000);
}

}  // namespace

struct NodeImages::Request {
  PodRef pod;
  ContainerSpec container;
  std::string image;
  std::function<void(Outcome)> done;
  std::vector<std::string> secrets;  // still to be read
  std::vector<runtime::RegistryAuth> auths;
  int64_t begun_ms = 0;
};

PullPolicy pull_policy(const Value& container) {
  std::string_view policy = container["imagePullPolicy"].as_string("IfNotPresent");
  if (policy == "Always") return PullPolicy::kAlways;
  return policy == "Never" ? PullPolicy::kNever : PullPolicy::kIfNotPresent;
}

std::vector<runtime::RegistryAuth> registry_auths(const Value& secret, const std::string& image) {
  std::string config = bytes_of(secret["data"][".dockerconfigjson"].as_string());
  if (config.empty()) config = bytes_of(secret["data"][".dockercfg"].as_string());
  auto auths = runtime::parse_docker_config(config);
  return auths.ok() ? runtime::auths_for(*auths, image) : std::vector<runtime::RegistryAuth>();
}

NodeImages::NodeImages(Clock& clock, runtime::Runtime& runtime, client::Client& client,
                       PodEvents& events)
    : clock_(clock), runtime_(runtime), client_(client), events_(events) {}

NodeImages::~NodeImages() { *alive_ = false; }

void NodeImages::ensure(const PodRef& pod, const ContainerSpec& container,
                        std::function<void(Outcome)> done) {
  auto request = std::make_shared<Request>();
  request->pod = pod;
  request->container = container;
  request->image = (*container.spec)["image"].text();
  request->done = std::move(done);
  std::weak_ptr<bool> alive = alive_;
  runtime_.image_status(request->image, [this, alive, request](Result<runtime::ImageSpec> image) {
    if (alive.expired()) return;
    if (image.ok() && pull_policy(*request->container.spec) != PullPolicy::kAlways) {
      present(request, *image);
    } else if (!image.ok() && image.error().code != Code::kNotFound) {
      const std::string& message = image.error().message;
      events_.warning(*request->pod, request->container.field_path, "InspectFailed", message);
      events_.warning(*request->pod, request->container.field_path, "Failed",
                      "Error: InvalidImageName");
      fail(*request, "InvalidImageName", message, kMostDelayMs);
    } else {
      absent(request);
    }
  });
}

void NodeImages::forget(const std::string& pod_uid) {
  auto it = waiting_.lower_bound(pod_uid);
  while (it != waiting_.end() && it->first.rfind(pod_uid, 0) == 0) it = waiting_.erase(it);
}

void NodeImages::present(std::shared_ptr<Request> request, const runtime::ImageSpec& image) {
  events_.normal(*request->pod, request->container.field_path, "Pulled",
                 fmt::format("Container image \"{}\" already present on machine and can be "
                             "accessed by the pod",
                             request->image));
  Outcome outcome;
  outcome.image = image;
  request->done(outcome);
}

void NodeImages::absent(std::shared_ptr<Request> request) {
  if (pull_policy(*request->container.spec) == PullPolicy::kNever) {
    std::string message = fmt::format(
        "Container image \"{}\" is not present with pull policy of Never", request->image);
    events_.warning(*request->pod, request->container.field_path, "ErrImageNeverPull", message);
    events_.warning(*request->pod, request->container.field_path, "Failed",
                    "Error: ErrImageNeverPull");
    fail(*request, "ErrImageNeverPull", message, kFirstDelayMs);
    return;
  }
  Waiting& w = waiting(*request);
  int64_t left_ms = w.until_ms - clock_.monotonic_ms();
  if (left_ms > 0) {
    events_.normal(*request->pod, request->container.field_path, "BackOff",
                   fmt::format("Back-off pulling image \"{}\"", request->image));
    events_.warning(*request->pod, request->container.field_path, "Failed",
                    "Error: ImagePullBackOff");
    fail(*request, "ImagePullBackOff",
         fmt::format("Back-off pulling image \"{}\": ErrImagePull: {}", request->image, w.message),
         left_ms);
    return;
  }
  events_.normal(*request->pod, request->container.field_path, "Pulling",
                 fmt::format("Pulling image \"{}\"", request->image));
  request->begun_ms = clock_.monotonic_ms();
  for (const Value& ref : request->pod->spec()["imagePullSecrets"].elements()) {
    request->secrets.push_back(ref["name"].text());
  }
  gather_credentials(std::move(request));
}

void NodeImages::gather_credentials(std::shared_ptr<Request> request) {
  if (request->secrets.empty()) {
    pull(std::move(request));
    return;
  }
  client::Request get;
  get.target = {"", "v1", "secrets", request->pod->ns(), request->secrets.back(), ""};
  request->secrets.pop_back();
  std::weak_ptr<bool> alive = alive_;
  client_.call(std::move(get), [this, alive, request](Result<ObjectRef> reply) {
    if (alive.expired()) return;
    auto secret = reply.ok() ? json::parse((*reply)->json) : Result<Value>(reply.error());
    if (secret.ok()) {  // one that is missing is passed over, as a kubelet does
      for (auto& auth : registry_auths(*secret, request->image)) request->auths.push_back(auth);
    }
    gather_credentials(request);
  });
}

void NodeImages::pull(std::shared_ptr<Request> request) {
  std::weak_ptr<bool> alive = alive_;
  std::string image = request->image;
  std::vector<runtime::RegistryAuth> auths = request->auths;
  runtime_.pull_image(image, std::move(auths), [this, alive, request](Result<std::string> id) {
    if (!alive.expired()) pulled(request, id);
  });
}

void NodeImages::pulled(std::shared_ptr<Request> request, const Result<std::string>& id) {
  const std::string& field_path = request->container.field_path;
  if (!id.ok()) {
    Waiting& w = waiting(*request);
    w.delay_ms = w.delay_ms == 0 ? kFirstDelayMs : std::min(w.delay_ms * 2, kMostDelayMs);
    w.until_ms = clock_.monotonic_ms() + w.delay_ms;
    w.message = id.error().message;
    events_.warning(*request->pod, field_path, "Failed",
                    fmt::format("Failed to pull image \"{}\": {}", request->image, w.message));
    events_.warning(*request->pod, field_path, "Failed", "Error: ErrImagePull");
    // Looked at again soon, when it turns into ImagePullBackOff.
    fail(*request, "ErrImagePull", w.message, kFirstDelayMs / 10);
    return;
  }
  waiting_.erase(request->pod->uid() + "/" + request->image);
  std::string took = seconds_text(clock_.monotonic_ms() - request->begun_ms);
  std::weak_ptr<bool> alive = alive_;
  runtime_.image_status(*id, [this, alive, request, took](Result<runtime::ImageSpec> image) {
    if (alive.expired()) return;
    if (!image.ok()) {
      fail(*request, "ErrImagePull", image.error().message, kFirstDelayMs);
      return;
    }
    events_.normal(*request->pod, request->container.field_path, "Pulled",
                   fmt::format("Successfully pulled image \"{}\" in {} ({} including waiting). "
                               "Image size: {} bytes.",
                               request->image, took, took, image->size_bytes));
    Outcome outcome;
    outcome.image = *std::move(image);
    request->done(outcome);
  });
}

void NodeImages::fail(const Request& request, const std::string& reason, const std::string& message,
                      int64_t retry_ms) {
  Outcome outcome;
  outcome.reason = reason;
  outcome.message = message;
  outcome.retry_ms = retry_ms;
  request.done(outcome);
}

NodeImages::Waiting& NodeImages::waiting(const Request& request) {
  return waiting_[request.pod->uid() + "/" + request.image];
}

}  // namespace knarr::agent
