// A program run to its end, with its input given and its output taken. Blocking: for worker threads
// and commands.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "knarr/result.h"

namespace knarr::base {

struct ProcessResult {
  int pid = 0;        // that it had
  int exit_code = 0;  // 128 + the signal when one ended it
  std::string out;
  std::string err;
};

// argv[0] is a path. The error is of starting it.
Result<ProcessResult> run_process(const std::vector<std::string>& argv, std::string_view input);

// The path of a program, from PATH and the system's sbin folders; empty when there is none.
std::string find_program(std::string_view name);

}  // namespace knarr::base
