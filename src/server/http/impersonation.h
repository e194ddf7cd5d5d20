// Acting as someone else (kubectl --as): what the Impersonate-* headers ask for, and whether the
// caller may. Pure but for the authoriser. Loop thread.
// Ref: KEP-5284 (constrained impersonation): a mode per kind of user, `impersonate:<mode>` on who
// is impersonated and `impersonate-on:<mode>:<verb>` on what is done; or plain `impersonate`, as
// ever.
#pragma once

#include "net/headers.h"
#include "server/auth/auth.h"

namespace knarr::server {

// Whether the headers ask for it at all.
bool asks_to_impersonate(const net::Headers& headers);

// Removes them, so that nobody behind this server acts on them again.
void drop_impersonation(net::Headers& headers);

struct Impersonation {
  UserRef user;        // null: refused
  Attributes refused;  // what the caller may not, for the message
  Decision decision;
};

// `request`: what the caller wants done, with himself as user. kBadRequest when the headers name no
// user.
Result<Impersonation> impersonate(const net::Headers& headers, const Attributes& request,
                                  Authorizer& authorizer);

}  // namespace knarr::server
