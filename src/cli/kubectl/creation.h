// Creating one object and printing that: shared by create, expose and run.
#pragma once

#include "cli/kubectl/manifest.h"

namespace knarr::kubectl {

// The object as the server has it now; with --dry-run=client as it would be sent. Prints
// "<kind>/<name> <verb>", or the object as -o asks, unless silent.
Result<json::Value> create_object(Session& session, const Flags& flags, Manifest manifest,
                                  const std::string& verb, bool silent = false);

}  // namespace knarr::kubectl
