#include <cstdio>
#include <cstring>
#include <string>

#include "cli/command.h"
#include "runtime/shim.h"

namespace {

using knarr::cli::Args;

struct Command {
  const char* name;
  int (*run)(const Args&);
  const char* about;
};

constexpr Command kCommands[] = {
    {"server", knarr::cli::server_command, "run a cluster on this machine"},
    {"agent", knarr::cli::agent_command, "make this machine a node of a server's cluster"},
    {"token", knarr::cli::token_command,
     "create, list and delete the tokens that machines join with"},
    {"dev", knarr::cli::dev_command, "make clusters of several nodes on this machine"},
    {"kubectl", knarr::cli::kubectl_command,
     "get, apply, logs, exec and the like, for who has no kubectl"},
    {"image", knarr::cli::image_command, "list, import, pull and remove images of this node"},
    {"version", knarr::cli::version_command, "print the version"},
};

void print_help(FILE* out) {
  std::fputs("knarr: a Kubernetes cluster in one executable\n\nusage: knarr COMMAND [flags]\n\n",
             out);
  for (const Command& c : kCommands) std::fprintf(out, "  %-10s %s\n", c.name, c.about);
  std::fputs("\n`knarr COMMAND --help` says more.\n", out);
}

}  // namespace

int main(int argc, char** argv) {
  // The process that keeps a pod's containers: nothing else may be set up in it.
  if (argc > 1 && std::strcmp(argv[1], knarr::runtime::kShimCommand) == 0) {
    return knarr::runtime::shim_main(argc, argv);
  }
  std::string name = argc > 1 ? argv[1] : "";
  for (const Command& c : kCommands) {
    if (name == c.name) return c.run(Args(argv + 2, argv + argc));
  }
  if (name == "--version") return knarr::cli::version_command({});
  bool asked = name == "--help" || name == "-h" || name == "help";
  print_help(asked ? stdout : stderr);
  return asked ? 0 : 2;
}
