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

// `core`: of /api, else of /apis.
AggregatedDiscovery aggregated_discovery(bool core);

std::string api_versions_json(std::string_view server_address);  // /api
std::string group_list_json();                                   // /apis
std::string group_json(std::string_view group);                  // /apis/<group>; "" when none
// /api/<version>, /apis/<group>/<version>; "" when there is none.
std::string resource_list_json(std::string_view group, std::string_view version);

bool group_exists(std::string_view group);

}  // namespace knarr::server
