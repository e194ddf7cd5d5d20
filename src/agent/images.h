// Images for containers: pull policy, credentials, back-off of pulls that fail, and the events of
// it. The agent's ImagePuller. Each credential of a pod's is tried by itself, so that the one that
// was taken is known. The runtime joins pulls of the same image with the same credential.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/image_access.h"
#include "agent/services.h"
#include "knarr/client.h"

namespace knarr::agent {

class NodeImages final : public ImagePuller {
 public:
  NodeImages(Clock& clock, runtime::Runtime& runtime, client::Client& client, PodEvents& events,
             ImageAccess& access);
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

  using RequestRef = std::shared_ptr<Request>;
  using Next = void (NodeImages::*)(RequestRef);

  void here(RequestRef request);
  void check_access(RequestRef request);
  void present(RequestRef request);
  void never(RequestRef request);
  void absent(RequestRef request);
  // Reads the pod's pull secrets, then goes on.
  void gather_credentials(RequestRef request, Next next);
  void pull(RequestRef request);
  void try_pull(RequestRef request);
  void refused(RequestRef request);
  void pulled(RequestRef request, const std::string& id);
  void fail(const Request& request, const std::string& reason, const std::string& message,
            int64_t retry_ms);
  Waiting& waiting(const Request& request);

  Clock& clock_;
  runtime::Runtime& runtime_;
  client::Client& client_;
  PodEvents& events_;
  ImageAccess& access_;
  std::map<std::string, Waiting> waiting_;  // by pod uid and image
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

enum class PullPolicy { kAlways, kIfNotPresent, kNever };
PullPolicy pull_policy(const json::Value& container);

// The credentials that a secret of type dockerconfigjson or dockercfg has for an image's registry.
std::vector<runtime::RegistryAuth> registry_auths(const json::Value& secret,
                                                  const std::string& image);

}  // namespace knarr::agent
