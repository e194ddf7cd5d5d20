// Discovery: what groups, versions and resources there are, in the form of many small documents and
// in the aggregated one. Made from the resource table once; immutable.
#pragma once

#include <string>
#include <string_view>

namespace knarr::server {

struct AggregatedDiscovery {
  std::string json;  // APIGroupDiscoveryList v2
  std::string etag;  // quoted
};

std::string api_versions_json(std::string_view server_address);  // /api

class Discovery {
 public:
  // `metrics`: metrics.k8s.io is served.
  explicit Discovery(bool metrics) : metrics_(metrics) {}

  // `core`: of /api, else of /apis.
  AggregatedDiscovery aggregated(bool core) const;
  std::string groups() const;                       // /apis
  std::string group(std::string_view group) const;  // /apis/<group>; "" when there is none
  // /api/<version>, /apis/<group>/<version>; "" when there is none.
  std::string resources(std::string_view group, std::string_view version) const;
  bool has_group(std::string_view group) const;

 private:
  bool metrics_;
};

}  // namespace knarr::server
