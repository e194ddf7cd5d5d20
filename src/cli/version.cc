#include <cstdio>

#include "cli/command.h"

namespace knarr::cli {

const char kVersion[] = "v" KNARR_VERSION;
const char kKubernetesVersion[] = "v1.36.2";

int version_command(const Args&) {
  std::printf("knarr %s (Kubernetes %s)\n", kVersion, kKubernetesVersion);
  return 0;
}

int fail(const std::string& message) {
  std::fprintf(stderr, "knarr: %s\n", message.c_str());
  return 1;
}

}  // namespace knarr::cli
