// The syntax of a Corefile: server blocks of zones, directives with arguments and blocks of their
// own. What directives mean is not known here. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "knarr/result.h"

namespace knarr::agent {

struct CorefileLine {
  int number = 0;
  std::vector<std::string> words;               // at least one
  std::vector<std::vector<std::string>> block;  // lines between braces
};

struct CorefileServer {
  int number = 0;
  std::vector<std::string> zones;
  std::vector<CorefileLine> directives;
};

// Errors begin with "line N: ".
Result<std::vector<CorefileServer>> parse_corefile(std::string_view text);
// What stands within a server block.
Result<std::vector<CorefileLine>> parse_directives(std::string_view text);

}  // namespace knarr::agent
