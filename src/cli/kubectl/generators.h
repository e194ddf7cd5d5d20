// The objects that `create <kind>`, `run` and `expose` make from flags. Pure, but for the files
// that --from-file names.
#pragma once

#include "base/json.h"
#include "cli/kubectl/flags.h"
#include "knarr/result.h"

namespace knarr::kubectl {

// words: {"deployment", "web"}, {"secret", "generic", "x"}, ...; what follows "--" is a command.
Result<json::Value> generate_object(const std::vector<std::string>& words,
                                    const std::vector<std::string>& command, const Flags& flags);

// The pod of `kubectl run`.
Result<json::Value> generate_pod(const std::string& name, const std::vector<std::string>& arguments,
                                 const Flags& flags);

// The Service of `kubectl expose` for a Service, Deployment, Pod, ...
Result<json::Value> generate_service(const json::Value& exposed, const Flags& flags);

// "a=b,c=d" -> {"a": "b", "c": "d"}.
Result<json::Value> parse_pairs(const std::string& text);

}  // namespace knarr::kubectl
