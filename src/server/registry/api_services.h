// APIServices as kube-aggregator keeps them: one for every group version that is served here, made
// when the server starts; and of each that names a service whether that can be asked (its condition
// Available). Requests are passed on to none of them: such a service is found unavailable at the
// last check. Loop thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/registry/registry.h"

namespace knarr::server {

struct Availability {
  bool available = false;
  std::string reason;
  std::string message;
};

// What the checks before the last find; available: all passed. `reference` is spec.service,
// `service` null when there is none, `slices` its EndpointSlices. Pure.
Availability check_service(const json::Value& reference, const json::Value* service,
                           const std::vector<json::Value>& slices);

class ApiServices {
 public:
  // `metrics`: metrics.k8s.io is among what is served.
  ApiServices(Registry& registry, bool metrics);
  ~ApiServices();
  void start();  // when the cache has loaded

 private:
  class Own;
  class Others;
  void register_own();
  void write(client::Verb verb, const std::string& name, const char* subresource, std::string body);
  void seen(const ObjectRef& api_service);
  void forget(const std::string& name);
  void changed(const NamespacedName& service);
  void judge(const std::string& name);

  Registry& registry_;
  bool metrics_;
  std::unique_ptr<client::Client> client_;
  std::map<std::string, NamespacedName> services_;  // of APIServices that name one
  std::unique_ptr<Own> own_;
  std::unique_ptr<Others> others_;
  std::vector<std::unique_ptr<client::Watch>> watches_;
};

}  // namespace knarr::server
