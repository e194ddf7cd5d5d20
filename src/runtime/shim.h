// The process between knarr and a pod: "<executable> shim <sandbox folder>", its listening socket
// as descriptor 3. It holds the pod's namespaces, is the parent of its containers, writes their
// logs and remembers how they ended, so that knarr may stop, crash or be replaced meanwhile.
//
// main() calls shim_main before it sets up anything else when argv[1] is kShimCommand.
#pragma once

namespace knarr::runtime {

inline constexpr char kShimCommand[] = "shim";

int shim_main(int argc, char** argv);

}  // namespace knarr::runtime
