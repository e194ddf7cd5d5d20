// A subcommand of knarr: a row of the table in main.cc, a file in this folder.
#pragma once

#include <string>
#include <vector>

namespace knarr::cli {

using Args = std::vector<std::string>;  // what follows the subcommand's name

// Each returns the process's exit status: 0, 1 for a failure, 2 for wrong usage.
int server_command(const Args& args);
int agent_command(const Args& args);
int dev_command(const Args& args);
int token_command(const Args& args);
int image_command(const Args& args);
int kubectl_command(const Args& args);
int version_command(const Args& args);

// Prints "knarr: <message>" on stderr and returns 1.
int fail(const std::string& message);

extern const char kVersion[];            // of knarr: "v0.1.0"
extern const char kKubernetesVersion[];  // of the API it speaks: "v1.36.2"

}  // namespace knarr::cli
