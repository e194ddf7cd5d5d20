// The entries of a link that say where addresses are: neighbours, and of a VXLAN device the nodes
// behind its hardware addresses. All are permanent: nothing is asked for. Blocking.
#pragma once

#include <string>
#include <vector>

#include "agent/proxy/netlink.h"
#include "api/ip.h"
#include "knarr/result.h"

namespace knarr::agent {

// A hardware address (six bytes) and the address it goes with: of a neighbour its own, of a
// forwarding entry the node's.
struct LinkEntry {
  std::string mac;
  api::IpAddress address;
  auto operator<=>(const LinkEntry&) const = default;
};

enum class EntryKind { kNeighbour, kForwarding };

// The permanent ones.
Result<std::vector<LinkEntry>> list_entries(Netlink& netlink, EntryKind kind, int link);
// Replaces one with the same key: a neighbour's address, a forwarding entry's hardware address.
Result<void> set_entry(Netlink& netlink, EntryKind kind, int link, const LinkEntry& entry);
Result<void> delete_entry(Netlink& netlink, EntryKind kind, int link, const LinkEntry& entry);

}  // namespace knarr::agent
