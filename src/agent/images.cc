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

// Several errors as Go's aggregate writes them: each text once.
std::string joined(const std::vector<std::string>& errors) {
  std::vector<std::string> distinct;
  for (const std::string& e : errors) {
    if (std::find(distinct.begin(), distinct.end(), e) == distinct.end()) distinct.push_back(e);
  }
  if (distinct.size() == 1) return distinct[0];
  std::string text;
  for (const std::string& e : distinct) text += (text.empty() ? "[" : ", ") + e;
  return text + "]";
}

}  // namespace

struct NodeImages::Request {
  PodRef pod;
  ContainerSpec container;
  std::string image;
  std::function<void(Outcome)> done;
  runtime::ImageSpec found;          // what is here already; no id: nothing
  bool gathered = false;             // the credentials are
  std::vector<std::string> secrets;  // still to be read
  std::vector<PullCredential> credentials;
  size_t tried = 0;                 // of them
  std::vector<std::string> errors;  // of those
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
                       PodEvents& events, ImageAccess& access)
    : clock_(clock), runtime_(runtime), client_(client), events_(events), access_(access) {}

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
    if (image.ok()) {
      request->found = *std::move(image);
      here(request);
    } else if (image.error().code != Code::kNotFound) {
      const std::string& message = image.error().message;
      events_.warning(*request->pod, request->container.field_path, "InspectFailed", message);
      events_.warning(*request->pod, request->container.field_path, "Failed",
                      "Error: InvalidImageName");
      fail(*request, "InvalidImageName", message, kMostDelayMs);
    } else if (pull_policy(*request->container.spec) == PullPolicy::kNever) {
      never(request);
    } else {
      absent(request);
    }
  });
}

void NodeImages::here(RequestRef request) {
  if (pull_policy(*request->container.spec) == PullPolicy::kAlways) return absent(request);
  if (!access_.restricted(request->found.id, request->image)) return present(request);
  gather_credentials(std::move(request), &NodeImages::check_access);
}

// A private image: the registry is asked unless it has taken one of this pod's credentials before.
void NodeImages::check_access(RequestRef request) {
  if (access_.allowed(request->found.id, request->image, request->credentials)) {
    present(request);
  } else if (pull_policy(*request->container.spec) == PullPolicy::kNever) {
    never(request);
  } else {
    absent(request);
  }
}

void NodeImages::forget(const std::string& pod_uid) {
  auto it = waiting_.lower_bound(pod_uid);
  while (it != waiting_.end() && it->first.rfind(pod_uid, 0) == 0) it = waiting_.erase(it);
}

void NodeImages::present(RequestRef request) {
  events_.normal(*request->pod, request->container.field_path, "Pulled",
                 fmt::format("Container image \"{}\" already present on machine and can be "
                             "accessed by the pod",
                             request->image));
  Outcome outcome;
  outcome.image = request->found;
  request->done(outcome);
}

void NodeImages::never(RequestRef request) {
  const char* why = request->found.id.empty()
                        ? "is not present with pull policy of Never"
                        : "is present with pull policy of Never but does not have the proper "
                          "credentials to access the image";
  std::string message = fmt::format("Container image \"{}\" {}", request->image, why);
  events_.warning(*request->pod, request->container.field_path, "ErrImageNeverPull", message);
  events_.warning(*request->pod, request->container.field_path, "Failed",
                  "Error: ErrImageNeverPull");
  fail(*request, "ErrImageNeverPull", message, kFirstDelayMs);
}

void NodeImages::absent(RequestRef request) {
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
  gather_credentials(std::move(request), &NodeImages::pull);
}

void NodeImages::gather_credentials(RequestRef request, Next next) {
  if (!request->gathered) {
    request->gathered = true;
    for (const Value& ref : request->pod->spec()["imagePullSecrets"].elements()) {
      request->secrets.push_back(ref["name"].text());
    }
    std::reverse(request->secrets.begin(), request->secrets.end());
  }
  if (request->secrets.empty()) return (this->*next)(std::move(request));
  client::Request get;
  get.target = {"", "v1", "secrets", request->pod->ns(), request->secrets.back(), ""};
  request->secrets.pop_back();
  std::weak_ptr<bool> alive = alive_;
  client_.call(std::move(get), [this, alive, request, next](Result<ObjectRef> reply) {
    if (alive.expired()) return;
    auto secret = reply.ok() ? json::parse((*reply)->json) : Result<Value>(reply.error());
    if (secret.ok()) {  // one that is missing is passed over, as a kubelet does
      std::string from =
          fmt::format("{}/{}/{}", (*reply)->uid, (*reply)->name.ns, (*reply)->name.name);
      for (auto& auth : registry_auths(*secret, request->image)) {
        request->credentials.push_back({std::move(auth), from});
      }
    }
    gather_credentials(request, next);
  });
}

// What is private is known to be so before it is here.
void NodeImages::pull(RequestRef request) {
  if (request->credentials.empty()) return try_pull(std::move(request));
  std::weak_ptr<bool> alive = alive_;
  access_.intend(request->image, [this, alive, request](const Result<void>& written) {
    if (alive.expired()) return;
    if (written.ok()) return try_pull(request);
    request->errors.push_back("failed to record image pull intent: " + written.error().message);
    refused(request);
  });
}

// With the next credential; once without any, when there is none.
void NodeImages::try_pull(RequestRef request) {
  std::vector<runtime::RegistryAuth> auths;
  if (!request->credentials.empty()) auths.push_back(request->credentials[request->tried].auth);
  std::weak_ptr<bool> alive = alive_;
  runtime_.pull_image(request->image, std::move(auths),
                      [this, alive, request](Result<std::string> id) {
                        if (alive.expired()) return;
                        if (id.ok()) return pulled(request, *id);
                        request->errors.push_back(id.error().message);
                        if (++request->tried < request->credentials.size()) {
                          return try_pull(request);
                        }
                        refused(request);
                      });
}

void NodeImages::refused(RequestRef request) {
  if (!request->credentials.empty()) access_.refused(request->image);
  const std::string& field_path = request->container.field_path;
  Waiting& w = waiting(*request);
  w.delay_ms = w.delay_ms == 0 ? kFirstDelayMs : std::min(w.delay_ms * 2, kMostDelayMs);
  w.until_ms = clock_.monotonic_ms() + w.delay_ms;
  w.message = joined(request->errors);
  events_.warning(*request->pod, field_path, "Failed",
                  fmt::format("Failed to pull image \"{}\": {}", request->image, w.message));
  events_.warning(*request->pod, field_path, "Failed", "Error: ErrImagePull");
  // Looked at again soon, when it turns into ImagePullBackOff.
  fail(*request, "ErrImagePull", w.message, kFirstDelayMs / 10);
}

void NodeImages::pulled(RequestRef request, const std::string& id) {
  waiting_.erase(request->pod->uid() + "/" + request->image);
  bool by_credential = !request->credentials.empty();
  access_.pulled(id, request->image,
                 by_credential ? &request->credentials[request->tried] : nullptr);
  std::string took = seconds_text(clock_.monotonic_ms() - request->begun_ms);
  std::weak_ptr<bool> alive = alive_;
  runtime_.image_status(id, [this, alive, request, took](Result<runtime::ImageSpec> image) {
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
