// The parts of NodeRestriction that are about pods. Each refuses, or lets the request by.
#pragma once

#include <string_view>

#include "server/admission/admission.h"

namespace knarr::server {

Result<void> restrict_pod(const AdmissionRequest& request, std::string_view node,
                          const Cache& cache);
// Of serviceaccounts/token: for pods of the node, for audiences that these name.
Result<void> restrict_token(const AdmissionRequest& request, std::string_view node,
                            const AdmissionDeps& deps);

}  // namespace knarr::server
