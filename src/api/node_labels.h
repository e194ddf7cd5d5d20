// Which labels a node may give itself. Pure.
#pragma once

#include <string_view>

namespace knarr::api {

// Those of Kubernetes that say where and what the node is, and what nobody reserves. Not
// "node-restriction.kubernetes.io/...", by which pods are kept to nodes that others chose.
bool node_may_set_label(std::string_view key);

}  // namespace knarr::api
