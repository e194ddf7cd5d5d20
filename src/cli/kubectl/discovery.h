// Which resources the server has, and what a user means by "deploy", "po" or "deployments.apps".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "cli/kubectl/api_client.h"
#include "knarr/result.h"

namespace knarr::kubectl {

struct ApiResource {
  std::string group;
  std::string version;
  std::string plural;
  std::string singular;
  std::string kind;
  std::vector<std::string> short_names;
  std::vector<std::string> categories;
  std::vector<std::string> verbs;
  std::vector<std::string> subresources;
  bool namespaced = false;
  bool preferred = false;  // the first version of its group that has it

  bool can(std::string_view verb) const;
  bool has_subresource(std::string_view name) const;
  std::string api_version() const { return group.empty() ? version : group + "/" + version; }
  // "deployment.apps", "pod": how output names the resource.
  std::string lower_kind() const;
  // "/apis/apps/v1/namespaces/default/deployments/web/scale"; empty parts are left out.
  std::string path(std::string_view ns, std::string_view name = {},
                   std::string_view subresource = {}) const;
};

class Catalogue {
 public:
  // Pure: from the aggregated lists of /api and /apis.
  void add_aggregated(const json::Value& list);
  // Pure: an APIResourceList.
  void add_resource_list(const json::Value& list);

  // By plural, singular, short name or kind in any case, with ".group" or ".version.group" after
  // it. Null when there is none.
  const ApiResource* find(std::string_view word) const;
  const ApiResource* find_kind(std::string_view api_version, std::string_view kind) const;
  // What a word stands for: resources of a category ("all"), or one resource.
  Result<std::vector<const ApiResource*>> resolve(std::string_view word) const;
  const std::vector<ApiResource>& all() const { return resources_; }

 private:
  void add(ApiResource resource);
  std::vector<ApiResource> resources_;
};

Result<Catalogue> discover(ApiClient& api);

std::string lower_case(std::string_view text);

}  // namespace knarr::kubectl
