// Images for containers: pull policy, credentials, back-off of pulls that fail, and the events of
// it. The agent's ImagePuller. The runtime joins pulls of the same image.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/services.h"
#include "knarr/client.h"

namespace knarr::agent {

class NodeImages final : public ImagePuller {
 public:
  NodeImages(Clock& clock, runtime::Runtime& runtime, client::Client& client, PodEvents& events);
  ~NodeImages() override;

  void ensure(const PodRef& pod, const ContainerSpec& container,
              std::function<void(Outcome)> done) override;
  void forget(const std::string& pod_uid) override;

 private:
  struct Request;
  // How long a failing image waits: 10 s, doubling to 5 minutes.
  struct Waiting {
    int64_t delay_ms = 0;
    int64_t until_ms = 0;
    std::string message;
  };

  void present(std::shared_ptr<Request> request, const runtime::ImageSpec& image);
  void absent(std::shared_ptr<Request> request);
  void gather_credentials(std::shared_ptr<Request> request);
  void pull(std::shared_ptr<Request> request);
  void pulled(std::shared_ptr<Request> request, const Result<std::string>& result);
  void fail(const Request& request, const std::string& reason, const std::string& message,
            int64_t retry_ms);
  Waiting& waiting(const Request& request);

  Clock& clock_;
  runtime::Runtime& runtime_;
  client::Client& client_;
  PodEvents& events_;
  std::map<std::string, Waiting> waiting_;  // by pod uid and image
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

enum class PullPolicy { kAlways, kIfNotPresent, kNever };
PullPolicy pull_policy(const json::Value& container);

// The credentials that a secret of type dockerconfigjson or dockercfg has for an image's registry.
std::vector<runtime::RegistryAuth> registry_auths(const json::Value& secret,
                                                  const std::string& image);

}  // namespace knarr::agent
