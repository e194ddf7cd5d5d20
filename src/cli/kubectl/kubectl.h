// `knarr kubectl`: the everyday verbs, for who has no kubectl.
#pragma once

#include <string>
#include <vector>

namespace knarr::kubectl {

// `version`: of the API this client was made for, "v1.36.2". Returns the exit status.
int run(const std::vector<std::string>& args, const std::string& version);

}  // namespace knarr::kubectl
