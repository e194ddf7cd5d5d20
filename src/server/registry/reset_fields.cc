#include "server/registry/reset_fields.h"

#include <initializer_list>

namespace knarr::server {
namespace {

using Path = std::initializer_list<std::string_view>;

// What is more than the rule: a status endpoint resets the spec, every other one the status.
struct Row {
  std::string_view group;
  std::string_view plural;
  std::string_view subresource;
  std::initializer_list<Path> paths;
};

constexpr Path kSpec = {"f:spec"};
constexpr Path kStatus = {"f:status"};
constexpr Path kLabels = {"f:metadata", "f:labels"};
constexpr Path kOwners = {"f:metadata", "f:ownerReferences"};
constexpr Path kConditions = {"f:status", "f:conditions"};
constexpr Path kCertificate = {"f:status", "f:certificate"};
constexpr std::string_view kCertificates = "certificates.k8s.io";
constexpr std::string_view kRequests = "certificatesigningrequests";

void own(api::FieldSet& set, Path path) {
  api::FieldSet* at = &set;
  for (std::string_view element : path) at = &at->at(element);
  at->member = true;
}

// Says whether the endpoint stands in the table.
bool add_exceptions(api::FieldSet& set, const api::ResourceInfo& resource,
                    std::string_view subresource) {
  static const Row kRows[] = {
      {kCertificates, kRequests, "", {kSpec, kStatus}},
      {kCertificates, kRequests, "status", {kSpec, kConditions}},
      {kCertificates, kRequests, "approval", {kSpec, kCertificate}},
      {"apps", "deployments", "status", {kSpec, kLabels}},
      {"", "pods", "status", {kSpec, kOwners}},
  };
  for (const Row& row : kRows) {
    if (row.group != resource.group || row.plural != resource.plural) continue;
    if (row.subresource != subresource) continue;
    for (Path path : row.paths) own(set, path);
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
    own(set, kSpec);
    if (!traits.metadata_of_status) own(set, {"f:metadata"});
  } else if (resource.subresource("status") != nullptr) {
    own(set, kStatus);
  }
  return set;
}

}  // namespace knarr::server
