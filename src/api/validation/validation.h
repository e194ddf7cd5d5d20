// Is an object, whole and defaulted, one that Kubernetes would accept? The rules that the schema
// can't say, a table of (group, kind) to functions, a file a kind family. Objects are JSON in any
// served version of their kind; kinds without rules of their own get the rules of all metadata.
#pragma once

#include <string_view>

#include "api/validation/errors.h"

namespace knarr::api {

struct ValidationTarget {
  std::string_view group;
  std::string_view version;
  std::string_view kind;
  bool namespaced = false;
};

// `object` after defaulting, with metadata.name generated.
ErrorList validate_create(const ValidationTarget& target, const json::Value& object);

// `object` is what shall be, `old` what is. Only metadata and spec are looked at.
ErrorList validate_update(const ValidationTarget& target, const json::Value& object,
                          const json::Value& old);

// The same for writes of /status.
ErrorList validate_status_update(const ValidationTarget& target, const json::Value& object,
                                 const json::Value& old);

// Writes of other subresources: "resize" and "ephemeralcontainers" of pods, "approval" of
// certificatesigningrequests, "scale".
ErrorList validate_subresource(const ValidationTarget& target, std::string_view subresource,
                               const json::Value& object, const json::Value& old);

// What spec.clusterIPs of a Service and their families must be in themselves: looked at before any
// address is allocated. `spec` of one that is not an ExternalName.
ErrorList validate_service_addresses(const json::Value& spec);

}  // namespace knarr::api
