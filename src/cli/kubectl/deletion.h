// Deleting an object and seeing it go: shared by delete, apply --force and run --rm.
#pragma once

#include "cli/kubectl/resources.h"

namespace knarr::kubectl {

// DeleteOptions from --grace-period, --force, --now and --cascade. Pure.
Result<json::Value> delete_options(const Flags& flags);

// Asks the server to delete it; the uid of what it deletes (empty when the server does not say).
Result<std::string> request_deletion(ApiClient& api, const Target& target,
                                     const json::Value& options, bool server_dry_run = false);

// Returns when the object of this uid is gone. timeout_ns 0: waits as long as it takes.
Result<void> wait_until_gone(ApiClient& api, const Target& target, const std::string& uid,
                             int64_t timeout_ns);

// Both, with the flags' options.
Result<void> delete_and_wait(ApiClient& api, const Target& target, const Flags& flags);

// Whole seconds left until the deadline (microseconds since the epoch), at least 1; for a watch's
// timeoutSeconds.
int64_t seconds_until(int64_t deadline_us);

}  // namespace knarr::kubectl
