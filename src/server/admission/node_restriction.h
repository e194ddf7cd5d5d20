// What the files of NodeRestriction share, and its parts that are about pods: each refuses, or lets
// the request by.
#pragma once

#include <string_view>

#include "server/admission/admission.h"

namespace knarr::server {

// Equal, or both with nothing in them.
inline bool same(const json::Value& a, const json::Value& b) {
  return a == b || (a.empty() && b.empty());
}

Result<void> restrict_pod(const AdmissionRequest& request, std::string_view node,
                          const Cache& cache);
// Of serviceaccounts/token: for pods of the node, for audiences that these name.
Result<void> restrict_token(const AdmissionRequest& request, std::string_view node,
                            const AdmissionDeps& deps);

}  // namespace knarr::server
