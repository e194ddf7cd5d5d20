// What someone hears who may not do what he asked for.
#pragma once

#include "knarr/result.h"
#include "server/auth/auth.h"

namespace knarr::server {

// `pods "x" is forbidden: User "jane" cannot get resource "pods" in API group "" ...`.
Error refusal(const Attributes& attributes, const Decision& decision);

}  // namespace knarr::server
