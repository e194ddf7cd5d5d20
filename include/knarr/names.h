// The names that knarr itself gives to things in the API, and those of nodes' users, where two
// folders or more must agree on them.
#pragma once

namespace knarr {

// Kubernetes' own: a node's user is this with its name, and is of that group.
inline constexpr const char* kNodeUserPrefix = "system:node:";
inline constexpr const char* kNodeUsersGroup = "system:nodes";

// Of a node: the SHA-256 of its public key. It tells the node from another machine of the same
// name, and goes with the Node object.
inline constexpr const char* kNodeKeyAnnotation = "knarr.io/node-key";

// Nodes of knarr see more than kubelets may: services, pods and policies of the whole cluster, for
// its network, and its volumes. Their client certificates have this group beside system:nodes, and
// come from this signer.
inline constexpr const char* kNodesGroup = "knarr:nodes";
inline constexpr const char* kNodeSigner = "knarr.io/node-client";

// The API server's own certificate towards nodes has this group, which means nothing to the API.
inline constexpr const char* kApiServerGroup = "knarr:apiserver";

inline constexpr const char* kSystemNamespace = "kube-system";
// ConfigMap: what all nodes must agree on. Secret: the server's own join token, under "token".
inline constexpr const char* kClusterConfigMap = "knarr-cluster";
// ConfigMap: what users add to cluster DNS.
inline constexpr const char* kDnsConfigMap = "knarr-dns";
inline constexpr const char* kJoinTokenSecret = "knarr-join-token";

// What a node's tunnel to the server is asked for with (RFC 8441), and where. A way into the node
// is this path, "/", and the number that the server gave it.
inline constexpr const char* kTunnelProtocol = "knarr-tunnel";
inline constexpr const char* kTunnelPath = "/knarr/tunnel";
// And the stream of the node's packets for pods that it cannot reach.
inline constexpr const char* kTunnelPacketsPath = "/knarr/tunnel/packets";

// Of a node: the folder that its local volumes are directories of.
inline constexpr const char* kLocalStoragePathAnnotation = "knarr.io/local-storage-path";
// Of a local volume, beside its node affinity: the node whose directory it is, which watches for
// it.
inline constexpr const char* kLocalStorageNodeLabel = "knarr.io/local-storage-node";
// Of a local volume: its directory is there. The node takes it away with the directory.
inline constexpr const char* kLocalStorageFinalizer = "knarr.io/local-storage";
inline constexpr const char* kLocalProvisioner = "knarr.io/local-path";
// What YAML written for others may name.
inline constexpr const char* kLocalProvisionerAlias = "rancher.io/local-path";

}  // namespace knarr
