// Node ports of one write of a service: which it takes, which it is given. A dry run takes none and
// is given numbers that no service has. Loop thread.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "server/registry/service_allocator.h"

namespace knarr::server {

class PortOperation {
 public:
  PortOperation(ServiceAllocator& allocator, std::string service, bool dry_run,
                std::vector<std::function<void()>>& undo)
      : allocator_(allocator), service_(std::move(service)), dry_run_(dry_run), undo_(undo) {}

  // What spec.ports asks for, of a service that had no node ports, or of one that had some. The
  // error is whole: kInvalid has the path of the port in its details.
  Result<void> take_first(json::Value& spec);
  Result<void> take_changed(json::Value& spec, const json::Value& before);
  Result<void> take_health_port(json::Value& spec);

 private:
  Result<void> take(int port);
  Result<int> take_any();
  Error refusal(size_t index, int port, const std::string& why) const;

  ServiceAllocator& allocator_;
  std::string service_;
  bool dry_run_;
  std::vector<std::function<void()>>& undo_;
  std::set<int> taken_;
};

}  // namespace knarr::server
