#include "server/registry/reset_fields.h"

#include <array>

namespace knarr::server {
namespace {

// What is more than the rule: a status endpoint resets the spec, every other one the status. Paths
// are elements of FieldsV1 with blanks between them.
struct Row {
  std::string_view group;
  std::string_view plural;
  std::string_view subresource;
  std::array<std::string_view, 2> paths;
};

constexpr std::string_view kCertificates = "certificates.k8s.io";
constexpr std::string_view kRequests = "certificatesigningrequests";
constexpr Row kRows[] = {
    {kCertificates, kRequests, "", {"f:spec", "f:status"}},
    {kCertificates, kRequests, "status", {"f:spec", "f:status f:conditions"}},
    {kCertificates, kRequests, "approval", {"f:spec", "f:status f:certificate"}},
    {"apps", "deployments", "status", {"f:spec", "f:metadata f:labels"}},
    {"", "pods", "status", {"f:spec", "f:metadata f:ownerReferences"}},
};

void own(api::FieldSet& set, std::string_view path) {
  api::FieldSet* at = &set;
  for (;;) {
    size_t blank = path.find(' ');
    at = &at->at(path.substr(0, blank));
    if (blank == std::string_view::npos) break;
    path.remove_prefix(blank + 1);
  }
  at->member = true;
}

// Says whether the endpoint stands in the table.
bool add_exceptions(api::FieldSet& set, const api::ResourceInfo& resource,
                    std::string_view subresource) {
  for (const Row& row : kRows) {
    if (row.group != resource.group || row.plural != resource.plural) continue;
    if (row.subresource != subresource) continue;
    for (std::string_view path : row.paths) own(set, path);
    return true;
  }
  return false;
}

}  // namespace

api::FieldSet reset_fields(const api::ResourceInfo& resource, std::string_view subresource,
                           const Traits& traits) {
  api::FieldSet set;
  if (subresource == "scale" || add_exceptions(set, resource, subresource)) return set;
  if (subresource == "status") {
    own(set, "f:spec");
    if (!traits.metadata_of_status) own(set, "f:metadata");
  } else if (resource.subresource("status") != nullptr) {
    own(set, "f:status");
  }
  return set;
}

}  // namespace knarr::server
