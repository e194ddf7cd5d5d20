// Whether this process is root of a user namespace only. The kernel then refuses it device nodes
// and trusted attributes, capabilities or not (user_namespaces(7)).
#pragma once

namespace knarr::runtime {

bool in_user_namespace();

}  // namespace knarr::runtime
