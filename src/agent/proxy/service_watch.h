// The services and endpoint slices of the whole cluster, watched once for all who need them: the
// proxy, DNS, the environment of containers. Loop thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/proxy/service_view.h"
#include "base/json.h"
#include "knarr/client.h"

namespace knarr::agent {

class ServiceWatch {
 public:
  explicit ServiceWatch(client::Client& client);
  ~ServiceWatch();

  void start();
  bool synced() const { return services_synced_ && slices_synced_; }
  const ServiceState& state() const { return state_; }
  // Called after the first complete list, and after every change since that matters to packets or
  // names. Once only, before start().
  void on_change(std::function<void()> fn) { change_fn_ = std::move(fn); }

  // The services that have changed, or whose slices have, since this was asked last.
  std::set<NamespacedName> take_changed() { return std::exchange(changed_, {}); }

  // The services whose variables a pod of the namespace gets: its own, and default/kubernetes. Fits
  // Configurer::Services.
  std::vector<json::Value> services(const std::string& ns) const;

 private:
  class Handler;
  void changed(const NamespacedName& service);
  void told();

  client::Client& client_;
  ServiceState state_;
  std::map<NamespacedName, ObjectRef> objects_;        // of the services
  std::map<NamespacedName, std::string> slice_owner_;  // slice -> service
  std::set<NamespacedName> changed_;
  bool services_synced_ = false, slices_synced_ = false;
  std::function<void()> change_fn_;
  std::unique_ptr<Handler> service_handler_, slice_handler_;
  std::unique_ptr<client::Watch> service_watch_, slice_watch_;
};

}  // namespace knarr::agent
