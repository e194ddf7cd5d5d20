#include "cli/kubectl/kubectl.h"

#include "cli/command.h"

namespace knarr::cli {

int kubectl_command(const Args& args) { return kubectl::run(args, kKubernetesVersion); }

}  // namespace knarr::cli
